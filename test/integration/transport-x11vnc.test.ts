// WebSockets to a real x11vnc, whose libvncserver takes none that says not where it comes from.
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { secureTarget } from '../../src/rfb/secure-target.ts';
import { connectBy } from '../support/connect-by.ts';
import { atEnd } from '../support/lifetime.ts';
import { viewScreen } from '../support/rfb-viewer.ts';
import { startX11vnc, type X11vnc } from '../support/x11vnc.ts';

const never = new AbortController().signal;
const password = 'secret12';
const colour = '#336699';

async function look({ host, port }: X11vnc, rule: object) {
  const connection = await connectBy(rule)({ host, port }, never);
  atEnd(() => connection.destroy());
  const options = { host, credentials: { password }, require: [] };
  const secured = await secureTarget(connection, options, never);
  return { security: secured.security, ...(await viewScreen(secured.connection)) };
}

describe('x11vnc', () => {
  it('refuses a WebSocket without an Origin', async () => {
    const { host, port } = await startX11vnc({ password });
    const bare = new WebSocket(`ws://${host}:${port}/`, ['binary'], { perMessageDeflate: false });
    bare.on('open', () => bare.terminate());
    await once(bare, 'error');
    expect(bare.readyState).not.toBe(WebSocket.OPEN);
  });

  it.each([[{}], [{ origin: 'https://portal.example.com' }], [{ path: '/websockify?token=x' }]])(
    'shows its screen through a WebSocket of ours, with %j',
    async (members) => {
      const vnc = await startX11vnc({ password, colour });
      const seen = await look(vnc, { via: 'ws', ...members });
      expect(seen).toMatchObject({ security: 'VncAuth', width: 640, height: 480, corner: colour });
    },
  );
});
