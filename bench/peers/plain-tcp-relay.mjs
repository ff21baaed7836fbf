// @ts-check
// A relay of plain TCP on `node:net`, and nothing else: what every relay costs that is a program of Node's.
// What always holds: a slow side stops the other side from being read.
import { connect, createServer } from 'node:net';

const [port, targetPort] = process.argv.slice(2);

const server = createServer({ noDelay: true }, (browser) => {
  const target = connect({ host: '127.0.0.1', port: Number(targetPort), noDelay: true });
  pass(browser, target);
  pass(target, browser);
});
server.listen({ host: '127.0.0.1', port: Number(port), backlog: 1024 });

/**
 * @param {import('node:net').Socket} from
 * @param {import('node:net').Socket} to
 */
function pass(from, to) {
  from.on('data', (chunk) => {
    if (!to.write(chunk)) from.pause();
  });
  to.on('drain', () => from.resume());
  from.on('end', () => to.end());
  from.on('error', () => to.destroy());
}
