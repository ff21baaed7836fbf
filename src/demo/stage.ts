// Sets the demo's stage: an oned and a VNC server of its own, the real service between them, all on loopback.
// What always holds: every port is free and every file is below one new folder; close() ends and removes all of it,
// and so does a start that fails half-way.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type App, createApp } from '../app.js';
import { type Loaded, loadSettings } from '../config/load.js';
import type { OptionName } from '../config/options.js';
import { openLog } from '../log.js';
import { startDemoOned } from './oned.js';
import type { DemoUser, DemoVm } from './oned-vm.js';
import { startDemoVnc } from './vnc-server.js';

/** What is running, and where. */
export interface Stage {
  readonly onedUrl: string;
  readonly vncPort: number;
  /** The service's XML-RPC address. */
  readonly rpcUrl: string;
  /** The proxy as browsers reach it: `http://127.0.0.1:PORT`. */
  readonly proxyUrl: string;
  readonly logFile: string;
  readonly tokenTtlSeconds: number;
  close(): Promise<void>;
}

const HOST = '127.0.0.1';
/** Of the VM's console. Eight characters, as VNC has it. */
const VNC_PASSWORD = 'demo1234';

const USERS: readonly DemoUser[] = [
  { id: 2, name: 'alice', password: 'demo', groupId: 1, groupName: 'users' },
  { id: 3, name: 'bob', password: 'demo', groupId: 1, groupName: 'users' },
];

/** The portal's user, in OpenNebula's form. */
export const SESSION = 'alice:demo';
/** Running, alice's, with the demo's picture on its console. */
export const RUNNING_VM = 7;
/** VMs whose console nobody gets, or alice does not. */
export const REFUSED_VMS: readonly { readonly id: number; readonly reason: string }[] = [
  { id: 8, reason: 'is powered off' },
  { id: 9, reason: 'is not hers' },
  { id: 10, reason: 'has SPICE instead of VNC' },
];

/** Starts everything; StartError where the service cannot start. */
export async function openStage(): Promise<Stage> {
  const closers: (() => Promise<unknown>)[] = [];
  const close = async () => {
    // Last come, first gone: the service before what it talks to, the folder at the very end.
    for (const closer of closers.splice(0).reverse()) await closer().catch(() => {});
  };
  try {
    const folder = await mkdtemp(join(tmpdir(), 'vnctoken-demo-'));
    closers.push(() => rm(folder, { recursive: true, force: true }));
    const vnc = await startDemoVnc({ host: HOST, port: 0, password: VNC_PASSWORD });
    closers.push(vnc.close);
    const oned = await startDemoOned({ host: HOST, port: 0, vms: makeVms(vnc.port), users: USERS });
    closers.push(oned.close);

    const logFile = join(folder, 'vnctoken.log');
    const flags: [OptionName, string][] = [
      ['port', '0'],
      ['vnc_proxy_port', '0'],
      ['one_xmlrpc', oned.url],
      ['console_ports', String(vnc.port)],
      ['log_file', logFile],
      ['stop_timeout', '2'],
      ['workers', '1'],
    ];
    const load = (...more: [OptionName, string][]): Loaded =>
      loadSettings({ configFiles: [], flags: new Map([...flags, ...more]), env: { ONE_LOCATION: folder } });
    const loaded = load();
    const log = openLog(logFile, loaded.settings.debug_level);
    closers.push(log.close);
    const app = createApp(loaded, log);
    const { rpcPort, proxyPort } = await startApp(app);
    closers.push(app.stop);
    const proxyUrl = `http://${HOST}:${proxyPort}`;
    // Which port the proxy has is known only now; public_url is a setting that a reload may change.
    await app.reload(load(['public_url', proxyUrl]));
    return {
      onedUrl: oned.url,
      vncPort: vnc.port,
      rpcUrl: `http://${HOST}:${rpcPort}/RPC2`,
      proxyUrl,
      logFile,
      tokenTtlSeconds: loaded.settings.token_ttl,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function startApp(app: App): Promise<{ rpcPort: number; proxyPort: number }> {
  const { rpc, proxy } = await app.start();
  const proxyPort = proxy[0]?.port;
  if (proxyPort === undefined) throw new Error('the proxy does not listen');
  return { rpcPort: rpc.port, proxyPort };
}

function makeVms(vncPort: number): Map<number, DemoVm> {
  const graphics = { type: 'VNC', listen: HOST, port: vncPort, passwd: VNC_PASSWORD };
  const running = { owner: 'alice', state: 3, lcmState: 3, hostnames: [HOST], graphics };
  const vms: DemoVm[] = [
    { ...running, id: RUNNING_VM, name: 'desktop' },
    { ...running, id: 8, name: 'powered-off', state: 8, lcmState: 0 },
    { ...running, id: 9, name: 'of-bob', owner: 'bob' },
    { ...running, id: 10, name: 'spice', graphics: { ...graphics, type: 'SPICE' } },
  ];
  return new Map(vms.map((vm) => [vm.id, vm]));
}
