// Whose a grant is, of several services that share Redis or sealed keys: oned's ids of VMs start at 0 in every zone.
// What always holds: what cannot be told to be of one's own zone is not; ids decide where both sides have one.

/** Where a grant was issued. No secret. */
export interface Zone {
  /** oned's id of its own zone (FEDERATION/ZONE_ID); undefined: it has not been told. */
  readonly id?: number | undefined;
  /** What `one_xmlrpc` is, as a hash; on loopback it differs from host to host. */
  readonly endpoint: string;
}

/** A service's own zone, as far as it knows. */
export interface OwnZone extends Zone {
  /** Nobody else's records come into the store: what has no zone, or an unknown one, is our own. */
  readonly alone: boolean;
}

/** Of `Zone.endpoint`. */
export const ENDPOINT_ID = /^[A-Za-z0-9_-]{16}$/;

/** Whether a grant is of the service's own zone. Grants from before zones were written down have none. */
export function isOfZone(zone: Zone | undefined, own: OwnZone): boolean {
  if (zone?.id !== undefined && own.id !== undefined) return zone.id === own.id;
  return own.alone || zone?.endpoint === own.endpoint;
}

/** The same, where without a zone of one's own only grants without one are meant. */
export function isListedIn(zone: Zone | undefined, own: OwnZone | undefined): boolean {
  return own === undefined ? zone === undefined : isOfZone(zone, own);
}

/** A name for the VM that no other zone's VM has, as far as zones are known. */
export function vmNameOf({
  zone,
  vmId,
}: {
  readonly zone?: Zone | undefined;
  readonly vmId: number;
}): string {
  return zone === undefined ? String(vmId) : `${zone.id ?? zone.endpoint}:${vmId}`;
}
