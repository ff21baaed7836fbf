// A running service with an oned before it, and consoles on any target: what the tests of the proxy begin with.

import { startTestOned, type TestOned } from './oned.ts';
import { type Flags, type Service, type ServiceOptions, startService } from './service.ts';
import { type Behaviour, startVncTarget, type VncTarget } from './vnc-target.ts';
import { type HandshakeOptions, openRawWebSocket, type RawWebSocket } from './ws-client.ts';

export interface Consoles {
  service: Service;
  oned: TestOned;
  /** A target that behaves so, and a token for a VM on it. */
  console(behaviour: Behaviour): Promise<{ target: VncTarget; token: string; vmId: number }>;
  /** A token for a VM at any address. */
  tokenFor(host: string, port: number): Promise<string>;
  /** Opens a WebSocket with the token in the query. */
  open(token: string, options?: Partial<HandshakeOptions>): Promise<RawWebSocket>;
}

/** For tests in which one token has many sessions at a time, as no person's has. */
export const manySessions: Flags = {
  token_sessions: 'shared',
  max_sessions_per_vm: 256,
  max_sessions_per_user: 100_000,
};

/** Starts a service for tests of the proxy. */
export async function startConsoles(options: ServiceOptions = {}): Promise<Consoles> {
  const oned = await startTestOned();
  // Unless a file is to say it.
  const ports = options.without?.includes('console_ports') ? {} : { console_ports: '1-65535' };
  const service = await startService({ oned, ...options, flags: { ...ports, ...options.flags } });
  let lastVmId = 0;
  const tokenFor = (host: string, port: number) => {
    lastVmId++;
    oned.runVm(lastVmId, { host, port });
    return service.issueToken(lastVmId);
  };
  return {
    service,
    oned,
    tokenFor,
    console: async (behaviour) => {
      const target = await startVncTarget(behaviour);
      const token = await tokenFor(target.host, target.port);
      return { target, token, vmId: lastVmId };
    },
    open: (token, handshake = {}) =>
      openRawWebSocket({ port: service.proxyPort, path: `/?token=${token}`, ...handshake }),
  };
}
