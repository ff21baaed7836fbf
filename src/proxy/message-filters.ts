// What a browser may do on a console, held to message by message, both ways; only where something is kept back.
// What always holds: a stream that cannot be understood ends the session rather than pass unread.
import type { VncAccess } from '../console/vnc-access.js';
import { ClientFilter } from '../rfb/client-filter.js';
import { isTransparent, mayTakeFromVm, readsServer } from '../rfb/client-rules.js';
import { ServerFilter } from '../rfb/server-filter.js';

export interface MessageFilters {
  /** From ClientInit on. @returns what may go on. @throws RfbViolation */
  toTarget(bytes: Buffer): readonly Buffer[];
  /** From ServerInit on, in place. @returns where what may go on ends. @throws RfbViolation */
  toBrowser(memory: Buffer, start: number, end: number): number;
}

/** @returns undefined where everything may pass */
export function createFilters(access: VncAccess): MessageFilters | undefined {
  if (isTransparent(access)) return undefined;
  const server = readsServer(access)
    ? new ServerFilter({
        passesCutText: mayTakeFromVm(access),
        longPointersRead: () => client.longPointersConfirmed(),
      })
    : undefined;
  const client = new ClientFilter({
    viewOnly: access.viewOnly,
    clipboard: access.clipboard,
    pixelFormatSet: server && ((format) => server.setPixelFormat(format)),
    announcedFormat: server && (() => server.announcedFormat),
  });
  return {
    toTarget: (bytes) => client.push(bytes),
    toBrowser: (memory, start, end) => server?.keep(memory, start, end) ?? end,
  };
}
