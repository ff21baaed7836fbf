// `vnctoken-server demo`: everything at once on this computer, told step by step.
// What always holds: whatever happens, all that was started has ended when runDemo returns.
import { once } from 'node:events';
import { type PortalValue, postCall, writeCall } from './portal.js';
import { redeemToken } from './redeem-check.js';
import { openStage, REFUSED_VMS, RUNNING_VM, SESSION, type Stage } from './stage.js';

export interface DemoOptions {
  /** Open the console itself, tell what was seen, and end. */
  readonly check: boolean;
  /** Takes one line, or several with line breaks between them. */
  print(line: string): void;
  /** Ends the demo. */
  readonly signal: AbortSignal;
}

const CHECK_TIMEOUT_MS = 20_000;
const METHOD = 'one.vm.vnctoken';

/**
 * Runs the demo until the signal, or with `check` until the console was seen.
 * @returns the exit code: 0 fine, 1 something did not work; it was printed
 */
export async function runDemo({ check, print, signal }: DemoOptions): Promise<number> {
  const ending = check ? AbortSignal.any([signal, AbortSignal.timeout(CHECK_TIMEOUT_MS)]) : signal;
  let stage: Stage | undefined;
  try {
    stage = await openStage();
    printStage(stage, print);
    const console = await askForConsole(stage, print, ending);
    if (check) {
      await checkConsole(stage, console, print, ending);
      return 0;
    }
    printHints(stage, print);
    if (!ending.aborted) await once(ending, 'abort');
    print('\nThe demo ends.');
    return 0;
  } catch (error) {
    // Ctrl-C while it is being set up is an end like any other, but a check was not finished then.
    if (signal.aborted && !check) return 0;
    print(`\nThe demo failed: ${describeFailure(error, signal, ending)}`);
    return 1;
  } finally {
    await stage?.close();
  }
}

function describeFailure(error: unknown, signal: AbortSignal, ending: AbortSignal): string {
  if (signal.aborted) return 'it was interrupted';
  if (ending.aborted) return `it was not done within ${CHECK_TIMEOUT_MS / 1000} seconds`;
  return error instanceof Error ? error.message : String(error);
}

function printStage(
  { onedUrl, vncPort, rpcUrl, proxyUrl, logFile }: Stage,
  print: DemoOptions['print'],
): void {
  print(`vnctoken demo: a console without OpenNebula's web interface

  oned         ${onedUrl.padEnd(33)}embedded; knows ${SESSION} and her VMs
  VNC server   ${`127.0.0.1:${vncPort}`.padEnd(33)}embedded; the console of VM ${RUNNING_VM}
  service      ${rpcUrl.padEnd(33)}the real one: XML-RPC
  proxy        ${proxyUrl.padEnd(33)}the real one: WebSockets and the console page
  log          ${logFile}
`);
}

interface Console {
  readonly token: string;
  readonly password: string;
}

/** The portal's part: the call, the reply, the address. */
async function askForConsole(
  { rpcUrl }: Stage,
  print: DemoOptions['print'],
  signal: AbortSignal,
): Promise<Console> {
  const call = writeCall(METHOD, SESSION, RUNNING_VM);
  print(`A portal asks for the console of VM ${RUNNING_VM}. The same from your shell:\n`);
  print(`  ${curlCommand(rpcUrl, call)}\n`);
  const { ok, value, code } = await postCall(rpcUrl, call, signal);
  if (!ok || !(value instanceof Map)) throw new Error(`${METHOD} was refused with ${code}: ${String(value)}`);
  print(`The reply:\n\n  [true, {\n${describeMembers(value)}\n  }, 0]\n`);
  const [token, password, url] = ['token', 'password', 'url'].map((name) => value.get(name));
  if (typeof token !== 'string' || typeof password !== 'string' || typeof url !== 'string') {
    throw new Error('the reply lacks a token, a password or an address');
  }
  print(`The console's address:\n\n  ${url}\n`);
  return { token, password };
}

/** In one line, to paste: the body has no single quote, which would end the shell's. */
function curlCommand(url: string, call: string): string {
  return `curl -s ${url} -d '${call}'`;
}

function describeMembers(members: ReadonlyMap<string, PortalValue>): string {
  // The second spelling of a member (VmId, Host, …) has the value of the first.
  const names = [...members.keys()];
  const first = names.filter((name) => name === name.toLowerCase());
  const others = names.filter((name) => !first.includes(name));
  const lines = first.map((name) => `    ${`${name}:`.padEnd(10)} ${String(members.get(name))}`);
  if (others.length > 0) lines.push(`    the same again as ${others.join(' ')}`);
  return lines.join('\n');
}

async function checkConsole(
  { proxyUrl }: Stage,
  { token, password }: Console,
  print: DemoOptions['print'],
  signal: AbortSignal,
): Promise<void> {
  print('Checking the console over a WebSocket, as a browser would:\n');
  const seen = await redeemToken({ proxyUrl: proxyUrl.replace('http', 'ws'), token, password, signal });
  print('  token        accepted by the proxy');
  print(`  handshake    RFB ${seen.version}, security ${seen.security}`);
  print(`  desktop      "${seen.name}", ${seen.width}x${seen.height} pixels`);
  const count = seen.rectangles.length;
  print(
    `  first update ${count} ${count === 1 ? 'rectangle' : 'rectangles'}, ${seen.distinctColours} colours`,
  );
  if (seen.distinctColours < 2) throw new Error('there is nothing to see in the first picture');
  print('\nThe console works.');
}

function printHints({ rpcUrl, tokenTtlSeconds }: Stage, print: DemoOptions['print']): void {
  const refused = REFUSED_VMS.map(({ id, reason }) => `${id} ${reason}`).join(', ');
  print(`Open it in a browser within ${tokenTtlSeconds} seconds.
A token is good for one console. This gives the address of another:

  ${curlCommand(rpcUrl, writeCall('one.vm.vncurl', SESSION, RUNNING_VM))}

Ask for other VMs to see a refusal: ${refused}.
Ctrl-C ends the demo and removes its files.`);
}
