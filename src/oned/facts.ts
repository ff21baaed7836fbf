// What oned is set to, remembered for minutes, so that no call of a portal waits for a second question.
// What always holds: of callers at a time one asks; what cannot be had is undefined and fails nobody's call; an answer
// of another oned than the present one counts no more.
import { untilAborted } from '../until-aborted.js';
import type { OnedClient } from './client.js';
import type { SessionString } from './session-string.js';
import type { SystemConfig } from './system-config.js';

/** A setting of oned takes its restart, and is known here so much later at most. */
const KEEP_MS = 300_000;
/** After oned would not or could not tell. */
const RETRY_MS = 30_000;
/** For all questions of one look together: somebody waits. */
const LOOK_MS = 5_000;

/** Undefined: oned did not tell; up to 6.8 it tells its settings to the group oneadmin alone. */
export type Facts = { readonly [name in keyof SystemConfig]: SystemConfig[name] | undefined };

export interface OnedFactsParts {
  readonly oned: Pick<OnedClient, 'systemConfig' | 'zonePool'>;
  /** `one_xmlrpc`, asked each time, so that it may change while running. */
  readonly url: () => string;
  /** The service's own; asked before the caller's. */
  readonly serviceSession: () => SessionString | undefined;
  /** Milliseconds of a clock that is never set. */
  readonly now?: () => number;
}

interface Look {
  readonly url: string;
  readonly facts: Promise<Facts>;
}

const UNKNOWN: Facts = { encryptsVncPassword: undefined, zoneId: undefined };

export class OnedFacts {
  private readonly parts: OnedFactsParts;
  private readonly now: () => number;
  private looking: Look | undefined;
  private last: { readonly url: string; readonly facts: Facts; readonly until: number } | undefined;

  constructor(parts: OnedFactsParts) {
    this.parts = parts;
    this.now = parts.now ?? (() => performance.now());
  }

  /** What is known without asking, be it old. */
  get known(): Facts {
    return this.last?.url === this.parts.url() ? this.last.facts : UNKNOWN;
  }

  /**
   * @param session whoever asks now; what is read is the same for everybody
   * @param signal fires when nobody waits for the answer any more; others may
   * @throws the signal's reason, and nothing else
   */
  async ask(session: SessionString, signal: AbortSignal): Promise<Facts> {
    const url = this.parts.url();
    if (this.last?.url === url && this.now() < this.last.until) return this.last.facts;
    if (this.looking?.url !== url) this.looking = { url, facts: this.look(url, session) };
    return untilAborted(this.looking.facts, signal);
  }

  private async look(url: string, caller: SessionString): Promise<Facts> {
    const before = this.known;
    const tooLong = AbortSignal.timeout(LOOK_MS);
    const sessions = [...new Set([this.parts.serviceSession(), caller])].filter((one) => one !== undefined);
    const { oned } = this.parts;
    const config = await firstOf(sessions, (session) => oned.systemConfig(session, tooLong));
    const zoneId = config?.zoneId ?? before.zoneId ?? (await this.onlyZone(caller, tooLong));
    const facts = { encryptsVncPassword: before.encryptsVncPassword, ...config, zoneId };
    if (this.looking?.url === url) this.looking = undefined;
    // Meanwhile it may be another oned that counts.
    if (this.parts.url() === url)
      this.last = { url, facts, until: this.now() + (config === undefined ? RETRY_MS : KEEP_MS) };
    return facts;
  }

  /** Where there is but one zone it is oned's own. */
  private async onlyZone(session: SessionString, signal: AbortSignal): Promise<number | undefined> {
    const zones = await firstOf([session], (one) => this.parts.oned.zonePool(one, signal));
    return zones?.length === 1 ? zones[0] : undefined;
  }
}

/** What the first of them gets an answer to; undefined where none does. */
async function firstOf<T>(
  sessions: readonly SessionString[],
  ask: (session: SessionString) => Promise<T>,
): Promise<T | undefined> {
  for (const session of sessions) {
    try {
      return await ask(session);
    } catch {
      // Whatever it is, the call that needed the fact will meet it, too.
    }
  }
  return undefined;
}
