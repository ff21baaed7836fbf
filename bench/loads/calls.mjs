// @ts-check
// XML-RPC calls, a connection each as oned has it, by callers that each wait for their answer.
// What always holds: a call counts when its answer is HTTP 200 with the value true in front.
import { connect } from 'node:net';

const good = /^HTTP\/1\.1 200 [\s\S]*<array>\s*<data>\s*<value>\s*<boolean>1<\/boolean>/;

/**
 * @param {{ port: number, method: string, callers: number, milliseconds: number }} order
 */
export async function runCalls({ port, method, callers, milliseconds }) {
  const request = callRequest(method, ['<string>oneadmin:oneadmin</string>', '<int>0</int>']);
  const startedAt = performance.now();
  const endAt = startedAt + milliseconds;
  let units = 0;
  const caller = async () => {
    while (performance.now() < endAt) {
      const answer = await exchange(port, request);
      if (!good.test(answer)) throw new Error(`${method} was answered with ${answer.slice(0, 500)}`);
      units++;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return { units, seconds: (performance.now() - startedAt) / 1000 };
}

/**
 * @param {string} method
 * @param {readonly string[]} params
 */
export function callRequest(method, params) {
  const list = params.map((param) => `<param><value>${param}</value></param>`).join('');
  const body = `<?xml version="1.0"?><methodCall><methodName>${method}</methodName><params>${list}</params></methodCall>`;
  return (
    'POST /RPC2 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: text/xml\r\n' +
    `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  );
}

/**
 * @param {number} port
 * @param {string} request
 * @returns {Promise<string>} headers and body
 */
export function exchange(port, request) {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    socket.setEncoding('latin1');
    socket.on('data', (/** @type {string} */ chunk) => {
      answer += chunk;
    });
    socket.once('end', () => resolve(answer)).once('error', reject);
    socket.write(request);
  });
}
