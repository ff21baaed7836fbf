// Versions of RFB through the whole service: with vnc_auth: pass they go by as they are, with proxy they are answered.
import { beforeAll, describe, expect, it } from 'vitest';
import { type Consoles, startConsoles } from '../support/consoles.ts';
import { u32 } from '../support/rfb-messages.ts';
import { playScript, type Script } from '../support/rfb-script.ts';
import { greetWith } from '../support/vnc-target.ts';
import { openConsole } from '../support/ws-client.ts';

const versions = ['003.003', '003.006', '003.007', '003.008', '003.009', '003.889', '004.000', '004.001'];
const all = [...versions, '005.000', '055.008', '000.000'];

describe('vnc_auth: pass', () => {
  let consoles: Consoles;
  beforeAll(async () => {
    consoles = await startConsoles();
  });

  it.each(all)('RFB %s is handed to the browser as it is', async (number) => {
    const { token } = await consoles.console(greetWith(`RFB ${number}\n`));
    const client = await openConsole(`${consoles.service.proxyUrl}/?token=${token}`);
    expect((await client.waitForData(12)).toString()).toBe(`RFB ${number}\n`);
    client.socket.terminate();
  });

  it.each(['RFB 3.8\n', 'RFB 003.8\n\n\n', 'RFB 003.008 ', 'rfb 003.008\n', 'RFB 0A3.008\n'])(
    '%j is no version, and nothing of it reaches the browser',
    async (greeting) => {
      const { token } = await consoles.console(greetWith(greeting.padEnd(12, '\n')));
      const client = await openConsole(`${consoles.service.proxyUrl}/?token=${token}`);
      expect(await client.closed).toMatchObject({ code: 1011 });
      expect(client.data()).toHaveLength(0);
    },
  );
});

describe('vnc_auth: proxy', () => {
  let consoles: Consoles;
  beforeAll(async () => {
    consoles = await startConsoles({ flags: { vnc_auth: 'proxy' } });
  });

  /** As macOS: it knows one answer, and leaves at any other. */
  const only =
    (announced: string, answer: string): Script =>
    async ({ send, read, end }) => {
      send(`RFB ${announced}\n`);
      if ((await read(12)).toString() !== `RFB ${answer}\n`) return end();
      if (answer === '003.003') return send(u32(1));
      send([2, 30, 1]);
      await read(1);
      if (answer === '003.008') send(u32(0));
    };

  const answers = [
    ...['003.003', '003.004', '003.005', '003.006'].map((number) => [number, '003.003']),
    ['003.007', '003.007'],
    ...['003.008', '003.009', '003.889', '004.000', '004.001', '005.000', '055.008'].map((number) => [
      number,
      '003.008',
    ]),
  ] as [string, string][];

  it.each(answers)('RFB %s is answered %s', async (announced, answer) => {
    const target = await playScript(only(announced, answer));
    const token = await consoles.tokenFor(target.host, target.port);
    const client = await openConsole(`${consoles.service.proxyUrl}/?token=${token}`);
    expect((await client.waitForData(12)).toString()).toBe('RFB 003.008\n');
    client.socket.send(Buffer.from('RFB 003.008\n\x01', 'latin1'));
    expect([...(await client.waitForData(18)).subarray(12)]).toEqual([1, 1, 0, 0, 0, 0]);
    client.socket.terminate();
  });
});
