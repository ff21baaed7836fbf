// The ways to QEMU's own doors: its Unix socket, its WebSocket, and that behind nginx with client certificates. On each
// RFB is spoken up to the first picture.
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { ConnectTarget, TransportTarget } from '../../src/transport/transport.ts';
import { makePki, type Pki } from '../support/certificates.ts';
import { startChild } from '../support/child.ts';
import { connectBy } from '../support/connect-by.ts';
import { temporaryFolder } from '../support/folder.ts';
import { atEnd } from '../support/lifetime.ts';
import { startNginx } from '../support/nginx.ts';
import { freePort, freeVncPort } from '../support/ports.ts';
import { startQemu } from '../support/qemu.ts';
import { TargetReader } from '../support/target-reader.ts';

const never = new AbortController().signal;

/** Without machine and without screen: a picture of 640 by 480 that says so. */
const plainScreen = ['-nodefaults'];
const width = 640;
const height = 480;

/** @returns the name in ServerInit, once a whole picture has come, raw */
async function takePicture(connect: ConnectTarget, target: TransportTarget): Promise<string> {
  const connection = await connect(target, never);
  atEnd(() => connection.destroy());
  const reader = new TargetReader(connection).start();
  let seen = 0;
  const next = async (bytes: number): Promise<Buffer> => {
    const all = await reader.waitForBytes(seen + bytes);
    seen += bytes;
    return all.subarray(seen - bytes, seen);
  };
  expect((await next(12)).toString()).toBe('RFB 003.008\n');
  connection.write(Buffer.from('RFB 003.008\n'));
  expect([...(await next(2))]).toEqual([1, 1]);
  connection.write(Buffer.from([1]));
  expect([...(await next(4))]).toEqual([0, 0, 0, 0]);
  connection.write(Buffer.from([1]));
  const init = await next(24);
  expect([init.readUInt16BE(0), init.readUInt16BE(2)]).toEqual([width, height]);
  const name = (await next(init.readUInt32BE(20))).toString();
  // SetEncodings: raw alone; FramebufferUpdateRequest: all of it.
  const request = Buffer.alloc(18);
  request.set([2, 0, 0, 1, 0, 0, 0, 0, 3, 0]);
  request.writeUInt16BE(width, 14);
  request.writeUInt16BE(height, 16);
  connection.write(request);
  for (let pixels = 0; pixels < width * height; ) {
    const [, , , count] = await next(4);
    for (let rectangle = 0; rectangle < (count ?? 0); rectangle++) {
      const head = await next(12);
      expect(head.readInt32BE(8)).toBe(0);
      const size = head.readUInt16BE(4) * head.readUInt16BE(6);
      await next(size * 4);
      pixels += size;
    }
  }
  expect(reader.breaches).toEqual([]);
  expect(reader.ends).toEqual([]);
  connection.end();
  return name;
}

it('by unix: the socket of each VM is found by its id', async () => {
  const folder = temporaryFolder();
  for (const id of [41, 42]) {
    const path = join(folder, `one-${id}.sock`);
    await startChild(
      'qemu-system-x86_64',
      ['-machine', 'none', ...plainScreen, '-name', `one-${id}`, '-vnc', `unix:${path}`],
      { ready: () => canConnectTo(path) },
    );
  }
  const connect = connectBy({ via: 'unix', path: join(folder, 'one-%i.sock') });
  for (const vmId of [41, 42]) {
    const name = await takePicture(connect, { host: 'node1', port: 5907, vmId });
    expect(name).toBe(`QEMU (one-${vmId})`);
  }
});

async function canConnectTo(path: string): Promise<boolean> {
  const connection = await connectBy({ via: 'unix', path })({ host: 'node1', port: 1 }, never);
  connection.destroy();
  return true;
}

it('by ws: beside the VM its own WebSocket, at a distance from its port', async () => {
  const webSocketPort = await freePort();
  const qemu = await startQemu({
    vnc: `,websocket=${webSocketPort}`,
    args: [...plainScreen, '-name', 'one-7'],
  });
  const away = webSocketPort - qemu.port;
  const connect = connectBy({ via: 'ws', port: away < 0 ? `${away}` : `+${away}` });
  expect(await takePicture(connect, { host: qemu.host, port: qemu.port, vmId: 7 })).toBe('QEMU (one-7)');
  const elsewhere = connectBy({ via: 'ws', port: webSocketPort, path: '/elsewhere' });
  await expect(elsewhere({ host: qemu.host, port: qemu.port }, never)).rejects.toThrow(
    /WebSocket \/elsewhere: .*404.*, by targets\[0\] \(via ws\)/,
  );
});

describe('by wss, through nginx that asks for client certificates', () => {
  let pki: Pki;
  let connectWith: (members: object) => ConnectTarget;
  let target: TransportTarget;
  beforeAll(async () => {
    pki = await makePki();
    const webSocketPort = await freePort();
    const qemu = await startQemu({
      port: await freeVncPort(),
      vnc: `,websocket=${webSocketPort}`,
      args: [...plainScreen, '-name', 'one-9'],
    });
    const port = await freePort();
    await startNginx({
      ports: [port],
      http: `server {
        listen 127.0.0.1:${port} ssl;
        ssl_certificate ${pki.server.cert};
        ssl_certificate_key ${pki.server.key};
        ssl_client_certificate ${pki.ca.cert};
        ssl_verify_client on;
        location = /console/9/${qemu.port} {
          proxy_pass http://127.0.0.1:${webSocketPort}/;
          proxy_http_version 1.1;
          proxy_set_header Upgrade $http_upgrade;
          proxy_set_header Connection upgrade;
        }
      }`,
    });
    target = { host: '127.0.0.1', port: qemu.port, vmId: 9 };
    connectWith = (members) =>
      connectBy({ via: 'wss', port, path: '/console/%i/%p', ca_file: pki.ca.cert, ...members });
  });

  it('the VM is reached with one', async () => {
    const members = { cert_file: pki.client.cert, key_file: pki.client.key };
    expect(await takePicture(connectWith(members), target)).toBe('QEMU (one-9)');
  });

  it('nothing is reached without', async () => {
    await expect(connectWith({})(target, never)).rejects.toThrow(/WebSocket \/console\/9\/\d+: .*400/);
  });
});
