// Which zone this service is of: what it writes into its grants, and takes only grants back with.
// What always holds: an id is what the operator or oned said, never a guess; without one the endpoint stands in.
import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { isLoopback } from '../client-address.js';
import type { OnedFacts } from '../oned/facts.js';
import type { SessionString } from '../oned/session-string.js';
import { remembered } from '../remembered.js';
import type { OwnZone, Zone } from '../tokens/zone.js';

export interface ServiceZoneParts {
  readonly facts: Pick<OnedFacts, 'ask' | 'known'>;
  /** Asked each time, so that they may change while running: `one_xmlrpc` and `zone_id`. */
  readonly settings: () => { readonly url: string; readonly zoneId: number | undefined };
  /** Asked each time. */
  readonly serviceSession: () => SessionString | undefined;
  /** Nobody else's records come into the store: then nothing hangs on the id, and it is not asked for. */
  readonly alone: boolean;
}

export class ServiceZone {
  private readonly parts: ServiceZoneParts;

  constructor(parts: ServiceZoneParts) {
    this.parts = parts;
  }

  /** As it is known now. */
  get own(): OwnZone {
    return { ...this.stamp, alone: this.parts.alone };
  }

  /** The same for a grant. */
  get stamp(): Zone {
    const endpoint = endpointOf(this.parts.settings().url);
    const id = this.parts.settings().zoneId ?? this.parts.facts.known.zoneId;
    return id === undefined ? { endpoint } : { id, endpoint };
  }

  /**
   * Has oned asked for the id, where that was not done lately.
   * @param session whoever asks oned something now
   * @throws the signal's reason, and nothing else: without an id the endpoint stands in
   */
  async learn(session: SessionString, signal: AbortSignal): Promise<void> {
    if (this.parts.alone || this.parts.settings().zoneId !== undefined) return;
    await this.parts.facts.ask(session, signal);
  }

  /** The same for somebody without a session: as the service, and only where there is no id yet. Throws nothing. */
  async learnAsService(): Promise<void> {
    const session = this.parts.serviceSession();
    if (session === undefined || this.stamp.id !== undefined) return;
    await this.learn(session, new AbortController().signal);
  }
}

/** Asked for each console that is opened. */
const endpointOf = remembered((url) => endpointId(url));

/**
 * Names the oned behind an address, as far as an address can. On loopback every host has an oned of its own.
 * @param host this host's name
 */
export function endpointId(url: string, host = hostname()): string {
  const { protocol, hostname: name, port } = new URL(url);
  const bare = name.replace(/^\[|\]$/g, '').replace(/\.$/, '');
  const where = `${bare}:${port === '' ? (protocol === 'https:' ? 443 : 80) : port}`;
  const here = isLoopback(bare) || /^(?:.*\.)?localhost$/.test(bare);
  return createHash('sha256')
    .update(here ? `${where} of ${host}` : where)
    .digest('base64url')
    .slice(0, 16);
}
