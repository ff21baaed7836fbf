// The VM's XML, as oned's `one.vm.info` returns it, reduced to the facts that a console needs.
// What always holds: texts are taken as they stand in the XML; whether they make sense is the policy's question.
import { GatewayError } from '../errors.js';
import { child, parseXml, type XmlElement } from '../xml.js';

export interface Graphics {
  /** As the user wrote it: `VNC`, `vnc`, `SPICE`, …; empty where there is none. */
  readonly type: string;
  readonly listen: string;
  /** A text, for users write it; undefined where the VM has none. */
  readonly port: string | undefined;
  /** Clear text. A secret. */
  readonly password: string;
}

export interface VmFacts {
  readonly state: number;
  readonly lcmState: number;
  /** HOSTNAME of the last history record: where the VM is now, or where it is migrating to. */
  readonly host: string | undefined;
  readonly graphics: Graphics;
}

/**
 * Reads `<VM>…</VM>`.
 * @throws GatewayError `oned-nonsense` when it is no such document
 */
export function parseVm(xml: string): VmFacts {
  const vm = vmElement(xml);
  const histories = child(vm, 'HISTORY_RECORDS')?.children.filter(({ name }) => name === 'HISTORY') ?? [];
  return {
    state: stateNumber(vm, 'STATE'),
    lcmState: stateNumber(vm, 'LCM_STATE'),
    host: textOf(histories.at(-1), 'HOSTNAME'),
    graphics: graphicsOf(child(vm, 'TEMPLATE')),
  };
}

function vmElement(xml: string): XmlElement {
  let root: XmlElement;
  try {
    root = parseXml(xml);
  } catch {
    throw new GatewayError('oned-nonsense', { detail: 'one.vm.info returned XML that is not well-formed' });
  }
  if (root.name !== 'VM')
    throw new GatewayError('oned-nonsense', { detail: 'one.vm.info returned no VM element' });
  return root;
}

/** Of several GRAPHICS sections the VNC one counts. */
function graphicsOf(template: XmlElement | undefined): Graphics {
  const sections = template?.children.filter(({ name }) => name === 'GRAPHICS') ?? [];
  const section = sections.find((one) => isVnc(textOf(one, 'TYPE') ?? '')) ?? sections[0];
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
  const text = textOf(vm, name) ?? '';
  if (!/^\d{1,4}$/.test(text)) throw new GatewayError('oned-nonsense', { detail: `the VM has no ${name}` });
  return Number(text);
}

/** Undefined where the element is missing or empty. */
function textOf(parent: XmlElement | undefined, name: string): string | undefined {
  const text = child(parent, name)?.text ?? '';
  return text === '' ? undefined : text;
}
