// @ts-check
// A relay on plain `ws`, as one writes it in an afternoon: a message event for each frame, a map for the tokens.
// What always holds: a slow side stops the other side from being read.
import { connect } from 'node:net';
import { WebSocketServer } from 'ws';

const [port, targetPort, token = ''] = process.argv.slice(2);
const targets = new Map([[token, { host: '127.0.0.1', port: Number(targetPort) }]]);
const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(port),
  backlog: 1024,
  perMessageDeflate: false,
});

server.on('connection', (webSocket, { url = '', socket: browser }) => {
  const target = targets.get(new URL(url, 'ws://localhost').searchParams.get('token') ?? '');
  if (target === undefined) return webSocket.close(1008);
  const socket = connect({ ...target, noDelay: true });
  socket.on('data', (chunk) => {
    webSocket.send(chunk);
    if (browser.writableNeedDrain) socket.pause();
  });
  browser.on('drain', () => socket.resume());
  webSocket.on('message', (/** @type {Buffer} */ data) => {
    if (!socket.write(data)) webSocket.pause();
  });
  socket.on('drain', () => webSocket.resume());
  socket.on('end', () => webSocket.close(1000));
  socket.on('error', () => webSocket.close(1011));
  webSocket.on('close', () => socket.destroy());
  webSocket.on('error', () => socket.destroy());
});
