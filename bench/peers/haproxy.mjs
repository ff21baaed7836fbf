// @ts-check
// HAProxy in TCP mode: the floor, since it has neither frames nor tokens. Its limits and buffers are its defaults.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startProcess } from '../child-process.mjs';
import { freePort } from '../ports.mjs';
import { canConnect, waitFor } from '../wait.mjs';

/**
 * @param {import('../peer.mjs').Surroundings} surroundings
 * @param {'tcp' | 'tls' | 'unix'} way
 * @returns {Promise<import('../peer.mjs').Peer>}
 */
export async function startHaproxy({ doors, certificates, core, folder, command }, way = 'tcp') {
  const port = await freePort();
  const tls = `ssl verify required ca-file ${certificates?.ca} crt ${certificates?.clientBundle}`;
  const server = {
    tcp: `127.0.0.1:${doors.tcp}`,
    tls: `127.0.0.1:${doors.tls} ${tls}`,
    unix: `unix@${doors.unix}`,
  }[way];
  const file = join(folder, `haproxy-${port}.cfg`);
  const lines = [
    'global',
    '  maxconn 6000',
    '  nbthread 1',
    'defaults',
    '  mode tcp',
    '  timeout connect 10s',
    '  timeout client 1h',
    '  timeout server 1h',
    'listen console',
    `  bind 127.0.0.1:${port} backlog 1024`,
    `  server target ${server}`,
    '',
  ];
  writeFileSync(file, lines.join('\n'));
  const { pid, stop } = startProcess(command, ['-db', '-f', file], { core, folder });
  await waitFor('HAProxy', () => canConnect(port));
  return { pid, stop, address: { port } };
}
