// Chromium's own network log of a page: all that went over the wire for it, as the browser's developer tools have it.
import type { Page } from 'playwright-core';

export interface NetworkLog {
  /** What the page's WebSockets carried, each way in one piece, so that no boundary of frames hides anything. */
  sent(): Buffer;
  received(): Buffer;
  /** Everything: addresses, headers, bodies, frames. Bytes as latin1. */
  all(): string;
}

/** Only what the log's frames are read for. */
interface Frame {
  response: { opcode: number; payloadData: string };
}

/** Starts the log; what was before is not in it. */
export async function watchNetwork(page: Page): Promise<NetworkLog> {
  const session = await page.context().newCDPSession(page);
  const [sent, received]: [Buffer[], Buffer[]] = [[], []];
  const entries: string[] = [];
  const frameOf = (params: unknown) => {
    const { opcode, payloadData } = (params as Frame).response;
    return Buffer.from(payloadData, opcode === 1 ? 'utf8' : 'base64');
  };
  const keepBody = async (requestId: string) => {
    const { body, base64Encoded } = await session.send('Network.getResponseBody', { requestId });
    entries.push(base64Encoded ? Buffer.from(body, 'base64').toString('latin1') : body);
  };
  session.on('event', ({ method, params }) => {
    if (!method.startsWith('Network.')) return;
    entries.push(`${method} ${JSON.stringify(params)}`);
    if (method === 'Network.webSocketFrameSent') sent.push(frameOf(params));
    if (method === 'Network.webSocketFrameReceived') received.push(frameOf(params));
  });
  // A page that has gone takes its bodies with it.
  session.on('Network.loadingFinished', ({ requestId }) => void keepBody(requestId).catch(() => undefined));
  await session.send('Network.enable');
  return {
    sent: () => Buffer.concat(sent),
    received: () => Buffer.concat(received),
    all: () => [...entries, ...[...sent, ...received].map((bytes) => bytes.toString('latin1'))].join('\n'),
  };
}

/** A secret as it could stand in a log or a file. */
export function spellingsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [secret, bytes.toString('base64'), bytes.toString('hex')];
}
