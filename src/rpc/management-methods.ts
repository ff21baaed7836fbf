// The methods that show and end consoles. What always holds: no token leaves through them, and an answer is never empty.
import type { SessionView } from '../console/revoke.js';
import { element, serializeXml } from '../xml.js';
import type { Method } from './method.js';

/** Sessions in one answer, the oldest of them; a VM with more of them has been configured for it. */
const MAX_SESSIONS = 1000;

export const managementMethods: Readonly<Record<string, Method>> = {
  'one.vm.vncrevoke': async ({ session, vmId }, { management, by }, signal) => {
    const { caller, count } = await management.revoke(session, vmId, signal, by);
    return { value: count, done: 'tokens revoked', details: { count }, caller };
  },
  'one.vm.vncsessions': async ({ session, vmId }, { management, by }, signal) => {
    const { caller, sessions } = await management.sessions(session, vmId, signal, by);
    const details = { count: sessions.length };
    return { value: sessionsXml(sessions), done: 'sessions listed', details, caller };
  },
};

function sessionsXml(sessions: readonly SessionView[]): string {
  const oldestFirst = [...sessions].sort((one, other) => one.since - other.since).slice(0, MAX_SESSIONS);
  const elements = oldestFirst.map(({ vmId, user, since, client, bytes }) =>
    element(
      'SESSION',
      element('VM_ID', String(vmId)),
      element('USER', user),
      element('SINCE', String(Math.floor(since / 1000))),
      element('CLIENT', client),
      element('BYTES', String(bytes)),
    ),
  );
  return serializeXml(element('VNC_SESSIONS', ...elements));
}
