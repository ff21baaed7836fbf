// The options of a call, its third parameter. What always holds: what could restrict is understood or refused, in every
// mode and before anybody is asked anything; what resembles no option is ignored, and no error quotes what was sent.
import { type ClipboardMode, clipboardModes } from '../clipboard.js';
import type { IssueOptions } from '../console/vnc-access.js';
import { GatewayError } from '../errors.js';
import { isOption, mentionedOption, optionNames, resembledOption } from './option-name.js';
import { readTemplate } from './template.js';
import type { RpcValue } from './value.js';

type Members = ReadonlyMap<string, RpcValue>;

/** Where nobody can tell which one was meant. */
const ANY_OPTION = optionNames.join(', ');
/** Of options in texts; to look for a slip costs. */
const MAX_TEXT_LENGTH = 1024;
const SCALARS: ReadonlySet<RpcValue['type']> = new Set(['int', 'boolean', 'scalar', 'nil']);

/** @throws GatewayError `bad-parameters` that names the option */
export function readOptions(parameter: RpcValue | undefined): IssueOptions {
  const members = membersOf(parameter);
  for (const [name, value] of members) {
    if (isOption(name)) continue;
    const meant = resembledOption(name) ?? hiddenIn(value);
    if (meant !== undefined)
      throw unclear(meant, 'cannot be read: it is not written so, not at its place, or there twice');
  }
  return {
    viewOnly: viewOnlyOf(members.get('view_only')),
    clipboard: clipboardOf(members.get('clipboard')),
  };
}

/** Booleans, numbers, nil and texts that mention no option callers have always been able to send without an effect. */
function membersOf(parameter: RpcValue | undefined): Members {
  if (parameter === undefined) return new Map();
  if (parameter.type === 'struct') return parameter.members;
  if (parameter.type === 'string') return membersIn(parameter.text);
  const texts = textsIn(parameter);
  if (texts !== undefined && mentionedIn(texts.join('\n')) === undefined) return new Map();
  throw unclear(hiddenIn(parameter) ?? ANY_OPTION, 'cannot be given so: the third parameter is no struct');
}

function membersIn(text: string): Members {
  const template = text.length > MAX_TEXT_LENGTH ? undefined : readTemplate(text);
  if (template?.type === 'struct') return template.members;
  const meant = mentionedIn(text);
  if (meant === undefined) return new Map();
  throw unclear(
    meant,
    'cannot be read: the third parameter is neither a struct nor OpenNebula\'s NAME="value"',
  );
}

/** Undefined where there is something that no text can be had of. */
function textsIn(value: RpcValue): readonly string[] | undefined {
  if (value.type === 'string') return [value.text];
  if (value.type !== 'array') return SCALARS.has(value.type) ? [] : undefined;
  const texts: string[] = [];
  for (const item of value.items) {
    const more = textsIn(item);
    if (more === undefined) return undefined;
    texts.push(...more);
  }
  return texts;
}

function mentionedIn(text: string): string | undefined {
  return text.length > MAX_TEXT_LENGTH ? ANY_OPTION : mentionedOption(text);
}

/** An option inside a member that is none: a struct in a struct, in an array, or what nobody can read. */
function hiddenIn(value: RpcValue): string | undefined {
  if (value.type === 'unreadable') return ANY_OPTION;
  if (value.type === 'array') return firstOf(value.items, hiddenIn);
  if (value.type !== 'struct') return undefined;
  return firstOf(value.members, ([name, inner]) => resembledOption(name) ?? hiddenIn(inner));
}

function firstOf<T, R>(items: Iterable<T>, find: (item: T) => R | undefined): R | undefined {
  for (const item of items) {
    const found = find(item);
    if (found !== undefined) return found;
  }
  return undefined;
}

function viewOnlyOf(value: RpcValue | undefined): boolean {
  if (value === undefined) return false;
  if (value.type === 'boolean') return value.value;
  const text = value.type === 'int' ? String(value.value) : value.type === 'string' ? value.text : '';
  if (/^(1|true|yes)$/i.test(text)) return true;
  if (/^(0|false|no)$/i.test(text)) return false;
  throw unclear('view_only', 'is no boolean');
}

function clipboardOf(value: RpcValue | undefined): ClipboardMode {
  if (value === undefined) return 'both';
  const text = value.type === 'string' ? value.text.toLowerCase() : '';
  const mode = clipboardModes.find((one) => one === text);
  if (mode === undefined) throw unclear('clipboard', `is none of ${clipboardModes.join(', ')}`);
  return mode;
}

function unclear(option: string, what: string): GatewayError {
  return new GatewayError('bad-parameters', { publicText: `${option} ${what}` });
}
