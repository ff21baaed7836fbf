// VNC_PORTS of oned.conf: from where on VMs are given ports for their consoles, and which they are not.
// What always holds: a file without it means oned's own defaults; what is there and not understood is undefined.

export interface VncPorts {
  readonly start: number;
  /** First and last. */
  readonly reserved: readonly (readonly [number, number])[];
}

/** What oned takes where oned.conf says nothing. */
const DEFAULT: VncPorts = { start: 5900, reserved: [] };

export function parseVncPorts(onedConf: string): VncPorts | undefined {
  const text = withoutComments(onedConf);
  // oned takes the last one.
  const body = [...text.matchAll(/^[ \t]*VNC_PORTS\s*=\s*\[([^\]]*)\]/gim)].at(-1)?.[1];
  if (body === undefined) return /^[ \t]*VNC_PORTS\b/im.test(text) ? undefined : DEFAULT;
  const values = new Map<string, string>();
  for (const [, name = '', quoted, bare = ''] of body.matchAll(/(\w+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))/g)) {
    values.set(name.toUpperCase(), quoted ?? bare);
  }
  const start = portOf(values.get('START') ?? String(DEFAULT.start));
  const reserved = rangesOf(values.get('RESERVED') ?? '');
  return start === undefined || reserved === undefined ? undefined : { start, reserved };
}

/** A `#` in quotes begins none. */
function withoutComments(text: string): string {
  return text.replace(/"[^"\n]*"|#[^\n]*/g, (part) => (part.startsWith('#') ? '' : part));
}

function rangesOf(text: string): (readonly [number, number])[] | undefined {
  const ranges: (readonly [number, number])[] = [];
  for (const member of text.split(',').map((one) => one.trim())) {
    if (member === '') continue;
    const [first, last] = member.split(':').map((one) => portOf(one.trim()));
    if (first === undefined || (member.includes(':') && last === undefined)) return undefined;
    ranges.push([first, last ?? first]);
  }
  return ranges;
}

function portOf(text: string): number | undefined {
  // 65536 stands in the shipped file, as an end.
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_536 ? Number(text) : undefined;
}
