// The hypervisor's VNC server of the demo: a listener, its viewers, and the one clock that paints for all of them.
// What always holds: nothing is painted while nobody waits for a picture, and close() leaves no socket or timer.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { createDesktop, type Desktop } from './desktop.js';
import { SCREEN_HEIGHT, SCREEN_WIDTH } from './layout.js';
import { createPicture } from './picture.js';
import { serveViewer, type Viewer } from './vnc-viewer.js';

/** At most 20 pictures a second. */
const FRAME_MS = 50;
const VIEWERS_MAX = 16;

/** The demo's running VNC server. */
export interface DemoVnc {
  readonly port: number;
  /** What the viewers have done, for tests to look at. */
  readonly desktop: Desktop;
  close(): Promise<void>;
}

/** Where to listen, port 0 for any; with an empty password everybody may look. */
export interface DemoVncOptions {
  readonly host: string;
  readonly port: number;
  readonly password: string;
}

/**
 * Starts the server: RFB 3.3 to 3.8 with VNC Authentication or None, Raw encoding (RFC 6143).
 * @throws where it cannot listen
 */
export async function startDemoVnc({ host, port, password }: DemoVncOptions): Promise<DemoVnc> {
  const desktop = createDesktop();
  const picture = createPicture();
  const viewers = new Set<Viewer>();
  const offer = { password, desktopName: 'vnctoken demo', width: SCREEN_WIDTH, height: SCREEN_HEIGHT };

  const server = createServer({ noDelay: true }, (socket) => {
    if (viewers.size >= VIEWERS_MAX) {
      socket.on('error', () => {});
      socket.destroy();
      return;
    }
    const viewer = serveViewer(socket, desktop, offer);
    viewers.add(viewer);
    viewer.closed.then(() => viewers.delete(viewer));
  });
  server.listen(port, host);
  await once(server, 'listening');

  const frameTimer = setInterval(() => {
    const waiting = [...viewers].filter((viewer) => viewer.isWaiting());
    if (waiting.length === 0) return;
    picture.paint(desktop, Date.now());
    for (const viewer of waiting) viewer.sendChanges(picture.canvas);
  }, FRAME_MS);

  return {
    port: (server.address() as AddressInfo).port,
    desktop,
    async close() {
      clearInterval(frameTimer);
      const closed = once(server, 'close');
      server.close();
      for (const viewer of viewers) viewer.destroy();
      await closed;
    },
  };
}
