// Calls of oned, as the caller, in turn and with one deadline over waiting and call.
// What always holds: nothing that oned sends is passed on unparsed; no error quotes a session string.
import { causeOf, GatewayError } from '../errors.js';
import type { XmlElement } from '../xml.js';
import { type AclRule, aclDocument } from './acl.js';
import { nonsense, type OnedDocument } from './document.js';
import type { Turn } from './fair-queue.js';
import type { Selected } from './reply.js';
import { type ReplyReader, readInPlace } from './reply-reader.js';
import { type SessionString, secretOf } from './session-string.js';
import { type SystemConfig, systemConfigDocument } from './system-config.js';
import { type Priority, Turnstile } from './turnstile.js';
import { type UserFacts, userDocument } from './user.js';
import { type VmFacts, vmDocument } from './vm.js';
import { vmPoolDocument } from './vm-pool.js';
import { callOnce, MAX_REPLY_BYTES, OversizeError, type RpcParameter, StatusError } from './xmlrpc-call.js';
import { zonePoolDocument } from './zone-pool.js';

/** Whoever calls, in the place of a user's id. */
const SELF = -1;

export interface OnedSettings {
  /** http or https. */
  readonly url: string;
  /** Over waiting and call. */
  readonly timeoutMs: number;
  /** Calls at a time. */
  readonly connections: number;
}

export class OnedClient {
  private readonly settings: () => OnedSettings;
  private readonly reader: ReplyReader;
  private readonly turnstile: Turnstile;
  private readonly charge: (by: Turn, bytes: number) => void;

  /**
   * @param settings asked at every call, so that they may change while running
   * @param reader of replies; a service gives one that leaves big ones to a thread
   * @param charge is told whose replies have how many bytes, as they come
   */
  constructor(
    settings: () => OnedSettings,
    reader: ReplyReader = readInPlace,
    charge: (by: Turn, bytes: number) => void = () => {},
  ) {
    this.settings = settings;
    this.reader = reader;
    this.charge = charge;
    this.turnstile = new Turnstile(() => settings().connections);
  }

  /**
   * `one.vm.info(session, vmId)` as the caller: oned's answer is the authorisation.
   * @param signal fires when nobody waits for the answer any more
   * @throws GatewayError `oned-refused` with oned's code and message, `oned-unreachable`, `oned-timeout`,
   * `oned-nonsense`, `over-limit`, `caller-gone`
   */
  vmInfo(
    session: SessionString,
    vmId: number,
    signal: AbortSignal,
    priority: Priority = {},
  ): Promise<VmFacts> {
    return this.call(vmDocument, session, [vmId], signal, priority);
  }

  /**
   * `one.vm.info(session, vmId, true)`: encrypted attributes in clear, for administrators.
   * @throws GatewayError as `vmInfo`
   */
  vmInfoDecrypted(
    session: SessionString,
    vmId: number,
    signal: AbortSignal,
    priority: Priority = {},
  ): Promise<VmFacts> {
    return this.call(vmDocument, session, [vmId, true], signal, priority);
  }

  /**
   * `one.user.info(session, -1)`: who the caller is, and the group that his login token is limited to.
   * @throws GatewayError as `vmInfo`
   */
  userInfo(session: SessionString, signal: AbortSignal, priority: Priority = {}): Promise<UserFacts> {
    return this.call(userDocument(secretOf(session)), session, [SELF], signal, priority);
  }

  /**
   * `one.user.info(session, uid)`: about somebody else.
   * @throws GatewayError as `vmInfo`
   */
  userInfoOf(
    session: SessionString,
    uid: number,
    signal: AbortSignal,
    priority: Priority = {},
  ): Promise<UserFacts> {
    return this.call(userDocument(), session, [uid], signal, priority);
  }

  /**
   * `one.acl.info(session)`: all rules of the ACL. A follower has the leader asked.
   * @throws GatewayError as `vmInfo`
   */
  aclInfo(session: SessionString, signal: AbortSignal): Promise<readonly AclRule[]> {
    return this.call(aclDocument, session, [], signal);
  }

  /**
   * `one.vmpool.infoset(session, ids, true)`, as background work: behind everybody who waits for an answer. The last
   * parameter asks for whole VMs; without it oned leaves out their permissions.
   * @param ids at most MAX_POOL_IDS
   * @returns the VMs that oned shows to this user, by id; a VM that is missing was removed from its database, or may not
   * be seen. One that is DONE is among them.
   * @throws GatewayError as `vmInfo`; `oned-nonsense` also where they are more than a reply may have together
   */
  vmPoolInfo(
    session: SessionString,
    ids: readonly number[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<number, VmFacts>> {
    const parameters = [ids.join(','), true];
    return this.call(vmPoolDocument(ids), session, parameters, signal, { background: true });
  }

  /**
   * `one.system.config(session)`: what oned is set to. Up to 6.8 for the group oneadmin alone (0x0200).
   * @throws GatewayError as `vmInfo`
   */
  systemConfig(session: SessionString, signal: AbortSignal): Promise<SystemConfig> {
    return this.call(systemConfigDocument, session, [], signal);
  }

  /**
   * `one.zonepool.info(session)`, the same for every user and in every zone.
   * @returns the ids of all zones
   * @throws GatewayError as `vmInfo`
   */
  zonePool(session: SessionString, signal: AbortSignal): Promise<readonly number[]> {
    return this.call(zonePoolDocument, session, [], signal);
  }

  /** One call: its turn, its deadline over turn and answer, and what may go wrong with both. */
  private async call<T>(
    document: OnedDocument<T>,
    session: SessionString,
    parameters: readonly RpcParameter[],
    signal: AbortSignal,
    priority: Priority = {},
  ): Promise<T> {
    const { url, timeoutMs } = this.settings();
    const end = new AbortController();
    const deadline = setTimeout(() => {
      const detail = `no answer from oned within ${timeoutMs / 1000} s (oned_timeout)`;
      end.abort(new GatewayError('oned-timeout', { detail }));
    }, timeoutMs);
    const gone = () => end.abort(new GatewayError('caller-gone'));
    if (signal.aborted) gone();
    signal.addEventListener('abort', gone);
    const onBytes = (count: number) => priority.by !== undefined && this.charge(priority.by, count);
    const work = () => callOnce(url, document.method, [session, ...parameters], end.signal, onBytes);
    try {
      const reply = await this.turnstile.pass(end.signal, work, priority);
      const selected = await this.reader.read(reply, document, end.signal, priority);
      const { root, doubt } = documentIn(selected, url);
      return document.read(root, doubt);
    } catch (error) {
      throw error instanceof GatewayError ? error : failureOf(error, url);
    } finally {
      clearTimeout(deadline);
      signal.removeEventListener('abort', gone);
    }
  }
}

/** A refusal becomes an error with oned's own words and code. */
function documentIn(selected: Selected, url: string): { root: XmlElement; doubt?: string } {
  if ('root' in selected) return selected;
  if ('problem' in selected) throw nonsense(`one_xmlrpc ${url}: ${selected.problem}`);
  throw new GatewayError('oned-refused', { publicText: selected.refusal, oneCode: selected.code });
}

function failureOf(error: unknown, url: string): GatewayError {
  if (error instanceof OversizeError) {
    return new GatewayError('oned-nonsense', {
      detail: `the reply of oned has more than ${MAX_REPLY_BYTES} bytes`,
    });
  }
  const where = `one_xmlrpc ${url}`;
  if (error instanceof StatusError) return nonsense(`${where}: ${error.message}`);
  // A system error has a code; anything else is a fault of ours.
  const isSystem = error instanceof AggregateError || (error instanceof Error && 'code' in error);
  return new GatewayError(isSystem ? 'oned-unreachable' : 'internal', {
    detail: `${where}: ${causeOf(error)}`,
  });
}
