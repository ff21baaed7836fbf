// The zones of the cloud, as oned's `one.zonepool.info` returns them to everybody, reduced to their ids.
// What always holds: which of several is oned's own does not follow from it: an ENDPOINT may say localhost.
import type { XmlElement } from '../xml.js';
import { numberOf, type OnedDocument, readDocument, textsOf } from './document.js';

/** `<ZONE_POOL>`, as `one.zonepool.info` returns it. */
export const zonePoolDocument: OnedDocument<readonly number[]> = {
  ...{ method: 'one.zonepool.info', root: 'ZONE_POOL', read: idsOf },
  shape: { children: { ZONE: { children: textsOf('ID'), most: Number.POSITIVE_INFINITY } } },
};

/** @throws GatewayError `oned-nonsense` when it is no such document */
export function parseZonePool(xml: string): readonly number[] {
  return readDocument(xml, zonePoolDocument);
}

function idsOf(pool: XmlElement): readonly number[] {
  return pool.children.map((zone) => numberOf(zone, 'ID'));
}
