// The headers of an upgrade as intermediaries leave them, before anything is read from them: lists in several lines,
// with empty and repeated members, or with more than the one that counts. What always holds: afterwards a header has
// the form that `ws` and the gate ask for, or one that they refuse; nothing is made up.
import type { IncomingHttpHeaders } from 'node:http';
import { listMembers } from '../http-request.js';

/** Hybi 8 is, but for the name of one header, version 13. */
const VERSIONS = ['13', '8'];
const PROTOCOLS = 'sec-websocket-protocol';
const VERSION = 'sec-websocket-version';

/** Rewrites, in place, those headers of an upgrade that are lists. */
export function tidyUpgradeHeaders(headers: IncomingHttpHeaders): void {
  const asked = listMembers(headers.upgrade).map((name) => name.toLowerCase());
  // RFC 9110 section 7.8: of several protocols the server takes one.
  if (asked.includes('websocket')) headers.upgrade = 'websocket';
  const offeredVersions = listMembers(headers[VERSION]);
  const version = VERSIONS.find((one) => offeredVersions.includes(one));
  if (version !== undefined) headers[VERSION] = version;
  const protocols = new Set(listMembers(headers[PROTOCOLS]));
  // None offered is the same as no header.
  if (protocols.size > 0) headers[PROTOCOLS] = [...protocols].join(', ');
  else delete headers[PROTOCOLS];
}
