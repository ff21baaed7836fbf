// The VM's XML, as oned's `one.vm.info` returns it, reduced to the facts that a console needs.
// What always holds: texts are taken as they stand in the XML; whether they make sense is the policy's question.
import { child, type XmlElement } from '../xml.js';
import type { Shape } from '../xml-selection.js';
import { nonsense, numberOf, type OnedDocument, readDocument, textOf, textsOf } from './document.js';
import { type Permissions, permissionsOf, permissionsShape } from './permissions.js';

/** oned's states have two digits. */
const MAX_STATE = 9999;

export interface Graphics {
  /** As the user wrote it: `VNC`, `vnc`, `SPICE`, …; empty where there is none. */
  readonly type: string;
  readonly listen: string;
  /** A text, for users write it; undefined where the VM has none. */
  readonly port: string | undefined;
  /** Clear text. A secret. */
  readonly password: string;
}

/** The place that a VM is on its way from. */
export interface Leaving {
  readonly host: string;
  /** As GRAPHICS/PORT was there. */
  readonly port: string | undefined;
}

export interface VmFacts {
  readonly id: number;
  /** The owner. */
  readonly uid: number;
  /** The group that it belongs to. */
  readonly gid: number;
  readonly permissions: Permissions;
  readonly state: number;
  readonly lcmState: number;
  /** HOSTNAME of the last history record: where the VM is now, or where it is migrating to. */
  readonly host: string | undefined;
  /** Where it comes from, while QEMU has not begun to run on `host`; undefined where oned does not say. */
  readonly leaving?: Leaving | undefined;
  readonly graphics: Graphics;
  /** What makes no sense in the VM: then host and graphics are not known, and it has no console. */
  readonly doubt?: string | undefined;
}

/** What oned writes before anything that users write. */
const head: Shape['children'] = {
  ...textsOf('ID', 'UID', 'GID', 'STATE', 'LCM_STATE'),
  PERMISSIONS: permissionsShape,
};

/**
 * What is read of a VM. Users write into TEMPLATE and USER_TEMPLATE, and oned puts what they write into CDATA as it is
 * (include/NebulaUtil.h, escape_xml): neither may be doubled, nor GRAPHICS, of which oned keeps one.
 */
export const vmShape: Shape = {
  children: {
    ...head,
    TEMPLATE: {
      children: {
        GRAPHICS: { children: textsOf('TYPE', 'LISTEN', 'PORT', 'PREVIOUS_PORT', 'PASSWD'), guarded: true },
      },
      guarded: true,
    },
    USER_TEMPLATE: { skipped: true, guarded: true },
    HISTORY_RECORDS: {
      children: {
        HISTORY: { children: textsOf('HOSTNAME', 'CID', 'RSTIME'), most: Number.POSITIVE_INFINITY, last: 2 },
      },
    },
  },
};

/**
 * `<VM>…</VM>`, as `one.vm.info` returns it. Whatever its owner writes, his rights and its state can be read: nobody keeps a
 * console by making the VM unreadable.
 */
export const vmDocument: OnedDocument<VmFacts> = {
  ...{ method: 'one.vm.info', root: 'VM', shape: vmShape, fallback: { children: head } },
  read: (vm, doubt) => ({ ...factsOf(vm), ...(doubt !== undefined && { doubt }) }),
};

/** @throws GatewayError `oned-nonsense` when it is no such document */
export function parseVm(xml: string): VmFacts {
  return readDocument(xml, vmDocument);
}

/** The same of an element that stands in a larger document. @throws GatewayError `oned-nonsense` */
export function factsOf(vm: XmlElement): VmFacts {
  const history = child(vm, 'HISTORY_RECORDS')?.children ?? [];
  const graphics = child(child(vm, 'TEMPLATE'), 'GRAPHICS');
  return {
    id: numberOf(vm, 'ID'),
    uid: numberOf(vm, 'UID'),
    gid: numberOf(vm, 'GID'),
    permissions: permissionsOf(vm),
    state: stateNumber(vm, 'STATE'),
    lcmState: stateNumber(vm, 'LCM_STATE'),
    host: textOf(history.at(-1), 'HOSTNAME'),
    leaving: leavingOf(history.at(-2), history.at(-1), graphics),
    graphics: graphicsOf(graphics),
  };
}

/** A record begins with the move; its RSTIME is set when QEMU runs there (src/lcm in OpenNebula's sources). */
function leavingOf(
  before: XmlElement | undefined,
  last: XmlElement | undefined,
  graphics: XmlElement | undefined,
): Leaving | undefined {
  const host = textOf(before, 'HOSTNAME');
  if (host === undefined || textOf(last, 'RSTIME') !== '0') return undefined;
  // oned gives another port in another cluster alone; else the attribute, if it is there, is the user's own.
  const moved = textOf(before, 'CID') !== textOf(last, 'CID');
  const port = textOf(graphics, 'PORT');
  return { host, port: moved ? (textOf(graphics, 'PREVIOUS_PORT') ?? port) : port };
}

function graphicsOf(section: XmlElement | undefined): Graphics {
  return {
    type: textOf(section, 'TYPE') ?? '',
    listen: textOf(section, 'LISTEN') ?? '',
    port: textOf(section, 'PORT'),
    password: textOf(section, 'PASSWD') ?? '',
  };
}

/** GRAPHICS/TYPE in any case. */
export function isVnc(type: string): boolean {
  return type.toUpperCase() === 'VNC';
}

function stateNumber(vm: XmlElement, name: string): number {
  const state = numberOf(vm, name);
  if (state > MAX_STATE) throw nonsense(`the VM of oned has no ${name}`);
  return state;
}
