// The VNC password of a VM in clear, as far as this service may have it.
// What always holds: whether it is ciphertext is a fact that oned tells, and never what it looks like.
import { GatewayError } from '../errors.js';
import type { OnedClient } from '../oned/client.js';
import type { OnedFacts } from '../oned/facts.js';
import type { Turn } from '../oned/fair-queue.js';
import type { SessionString } from '../oned/session-string.js';
import type { VmFacts } from '../oned/vm.js';
import { isOneadmin } from './rights.js';

export interface VncPasswordParts {
  readonly oned: Pick<OnedClient, 'vmInfoDecrypted' | 'userInfo'>;
  readonly facts: Pick<OnedFacts, 'ask'>;
}

export interface VncPassword {
  /** A secret. */
  readonly text: string;
  /** It is ciphertext, and why nobody here can read it; for the caller. */
  readonly unreadable?: string | undefined;
}

const ENCRYPTED = 'The VNC password is encrypted (VM_ENCRYPTED_ATTR)';

/** Who asks oned. */
export interface Askers {
  /** The caller's. */
  readonly session: SessionString;
  /** The service's own. */
  readonly serviceSession: SessionString | undefined;
  /** Whose turn it is. */
  readonly by: Turn | undefined;
}

/**
 * @param vm as oned has shown it to the caller
 * @throws GatewayError as the questions to oned
 */
export async function vncPasswordOf(
  vm: VmFacts,
  { session, serviceSession: service, by }: Askers,
  { oned, facts }: VncPasswordParts,
  signal: AbortSignal,
): Promise<VncPassword> {
  const { password: text } = vm.graphics;
  if (text === '') return { text };
  const { encryptsVncPassword: isEncrypted } = await facts.ask(session, signal);
  if (isEncrypted === false) return { text };
  if (service === undefined) {
    // Where oned does not tell, it is taken for what it may be: at worst it is wrong.
    return isEncrypted
      ? { text, unreadable: `${ENCRYPTED}: the service needs service_auth to read it` }
      : { text };
  }
  const shown = await shownToService(service, vm, { oned, by }, signal).catch((error: unknown) => {
    if (isEncrypted || signal.aborted) throw error;
    return vm;
  });
  if (shown === undefined) {
    return isEncrypted
      ? { text, unreadable: `${ENCRYPTED}: oned does not let the user of service_auth read it` }
      : { text };
  }
  const { graphics } = shown;
  if (graphics.password !== text || !isEncrypted) return { text: graphics.password };
  // oned shows ciphertext to others than administrators without a word; what it never encrypted it shows to everybody.
  if (isOneadmin(await oned.userInfo(service, signal, { by }))) return { text };
  return {
    text,
    unreadable: `${ENCRYPTED}: the user of service_auth has to be in the group oneadmin to read it`,
  };
}

/** @returns undefined where oned refuses the service: that is no failed login of the caller */
async function shownToService(
  service: SessionString,
  { id }: VmFacts,
  { oned, by }: Pick<VncPasswordParts, 'oned'> & Pick<Askers, 'by'>,
  signal: AbortSignal,
): Promise<VmFacts | undefined> {
  try {
    return await oned.vmInfoDecrypted(service, id, signal, { by });
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'oned-refused') return undefined;
    throw error;
  }
}

/** @throws GatewayError `no-console` where it cannot be read */
export function readable({ text, unreadable }: VncPassword): string {
  if (unreadable !== undefined) throw new GatewayError('no-console', { publicText: unreadable });
  return text;
}
