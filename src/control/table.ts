// Sessions and tokens for people: an aligned table. And a line for programs.
// What always holds: names come from users and from the network, so nothing in a line can steer a terminal.
import type { SessionRow, TokenRow } from './messages.js';

interface Column<R> {
  readonly title: string;
  readonly cell: (row: R) => string;
  /** Numbers stand at the right. */
  readonly right?: boolean;
}

const MAX_CELL_CHARS = 60;

const sessionColumns: readonly Column<SessionRow>[] = [
  { title: 'TOKEN', cell: ({ fingerprint }) => fingerprint },
  { title: 'VM', cell: ({ vm }) => String(vm), right: true },
  { title: 'USER', cell: ({ user }) => user },
  { title: 'CLIENT', cell: ({ client }) => client },
  { title: 'SINCE', cell: ({ since }) => since },
  { title: 'BYTES', cell: ({ bytes }) => sizeText(bytes), right: true },
];

const tokenColumns: readonly Column<TokenRow>[] = [
  { title: 'TOKEN', cell: ({ fingerprint }) => fingerprint },
  { title: 'VM', cell: ({ vm }) => String(vm), right: true },
  { title: 'USER', cell: ({ user }) => user },
  { title: 'ISSUED', cell: ({ issued }) => issued },
  { title: 'USED', cell: ({ firstUsed }) => firstUsed ?? '-' },
  { title: 'EXPIRES', cell: ({ firstUsed, expires }) => (firstUsed === null ? expires : '-') },
  { title: 'SESSIONS', cell: ({ sessions }) => String(sessions), right: true },
];

/** The oldest first. */
export function sessionTable(rows: readonly SessionRow[]): string {
  return table(sessionColumns, rows.toSorted(by(({ since }) => since)));
}

/** The oldest first. A token that is used does not expire as long as it is in use. */
export function tokenTable(rows: readonly TokenRow[]): string {
  return table(tokenColumns, rows.toSorted(by(({ issued }) => issued)));
}

/** A JSON object, safe to look at on a terminal. */
export function jsonLine(row: SessionRow | TokenRow): string {
  return JSON.stringify(row).replace(UNSAFE, escaped);
}

/** `0 B`, `1023 B`, `1.0 KiB`, `12.3 MiB`. */
export function sizeText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let size = bytes;
  let unit = 0;
  // What would be shown as 1024.0 is one of the next unit.
  while (Number(size.toFixed(1)) >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`;
}

function table<R>(columns: readonly Column<R>[], rows: readonly R[]): string {
  const lines = [columns.map(({ title }) => title)];
  for (const row of rows) lines.push(columns.map(({ cell }) => shown(cell(row))));
  const widths = columns.map((_column, i) =>
    lines.reduce((width, line) => Math.max(width, line[i]?.length ?? 0), 0),
  );
  return lines
    .map((line) =>
      line
        .map((cell, i) => (columns[i]?.right ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Controls (C0, C1), and what makes text invisible or turns its direction. */
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

function shown(text: string): string {
  const safe = text.replace(UNSAFE, escaped);
  return safe.length > MAX_CELL_CHARS ? `${safe.slice(0, MAX_CELL_CHARS - 1)}…` : safe;
}

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function by<R>(key: (row: R) => string): (a: R, b: R) => number {
  return (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
}
