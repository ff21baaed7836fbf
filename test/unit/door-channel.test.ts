// A worker's way to the gate: an answer that does not come is "unavailable", and one that comes too late is undone.
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { DoorChannel } from '../../src/cluster/door-channel.ts';
import type { OpenAnswer, ToPrimary } from '../../src/cluster/messages.ts';
import { GatewayError } from '../../src/errors.ts';
import type { SessionId } from '../../src/tokens/record.ts';
import type { TokenHash } from '../../src/tokens/token.ts';
import { end, refusal } from '../support/gate.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const knock = { key: { hash: 'abc' as TokenHash }, client: '192.0.2.1', ref: 'REF234' };
const session = 'a1' as SessionId;
const target = { host: '127.0.0.1', port: 5900 };
const admitted: OpenAnswer = {
  admitted: { session, grant: { vmId: 7, target, uid: 2, user: 'alice', issuedAt: 0, expiresAt: 1 } },
};

function channel(): { door: DoorChannel; sent: ToPrimary[]; questions: () => number[] } {
  const sent: ToPrimary[] = [];
  const questions = () => sent.flatMap((one) => (one.type === 'open' ? [one.question] : []));
  return { door: new DoorChannel((message) => void sent.push(message)), sent, questions };
}

it('a knock is passed on, and its answer comes back', async () => {
  const { door, sent, questions } = channel();
  const opened = door.open(knock);
  expect(sent).toEqual([{ type: 'open', question: questions()[0], knock }]);
  door.opened(questions()[0] ?? 0, admitted);
  expect(await opened).toMatchObject({ session, grant: { vmId: 7 } });
  door.closed(session, end);
  expect(sent.at(-1)).toEqual({ type: 'closed', session, end });
});

it('a refusal comes back as the same error, with its detail', async () => {
  const { door, questions } = channel();
  const opened = refusal(door.open(knock));
  door.opened(questions()[0] ?? 0, { refused: 'token-in-use', detail: 'held' });
  const error = await opened;
  expect(error).toBeInstanceOf(GatewayError);
  expect(error).toMatchObject({ code: 'token-in-use', detail: 'held', httpStatus: 429 });
});

it('no answer is 503, never a refusal, and whoever is let in after that is told as closed', async () => {
  const { door, sent, questions } = channel();
  const opened = refusal(door.open(knock));
  // A probe of five seconds and a look at the VM have their time.
  await vi.advanceTimersByTimeAsync(15_000);
  expect(sent).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await opened).toMatchObject({ code: 'store-unavailable', httpStatus: 503 });
  door.opened(questions()[0] ?? 0, admitted);
  expect(sent.slice(1)).toEqual([
    {
      type: 'closed',
      session,
      end: { reason: 'let in too late', bytesToBrowser: 0, bytesToTarget: 0, seconds: 0 },
    },
  ]);
});

it('a refusal that comes too late is nothing', async () => {
  const { door, sent, questions } = channel();
  const opened = refusal(door.open(knock));
  await vi.advanceTimersByTimeAsync(20_000);
  await opened;
  door.opened(questions()[0] ?? 0, { refused: 'token-not-valid', detail: '' });
  expect(sent).toHaveLength(1);
});
