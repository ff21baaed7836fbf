// `vnctoken-server sessions | tokens | revoke`: what they ask of the running service, and what they print.
// What always holds: standard output has nothing but the answer; remarks go to standard error.
import type { RevokeSelection } from '../config/types.js';
import { ask } from './ask.js';
import { jsonLine, sessionTable, tokenTable } from './table.js';

export interface ControlCommand {
  readonly command: 'sessions' | 'tokens' | 'revoke';
  readonly json: boolean;
  readonly selection: RevokeSelection;
}

export interface Output {
  /** A text of one line or more, to standard output. */
  readonly print: (text: string) => void;
  /** A line to standard error. */
  readonly remark: (line: string) => void;
}

/**
 * Gives a command to the service that listens on a socket.
 * @throws StartError where it cannot be asked, or could not do it
 */
export async function runControlCommand(
  path: string,
  { command, json, selection }: ControlCommand,
  { print, remark }: Output,
): Promise<void> {
  const told = await ask(path, command === 'revoke' ? { command, selection } : { command });
  if (command === 'revoke') {
    const { revoked, note } = told.find((one) => 'revoked' in one) ?? { revoked: 0 };
    print(`${revoked} revoked`);
    if (note !== undefined) remark(note);
    return;
  }
  const sessions = told.flatMap((one) => ('session' in one ? [one.session] : []));
  const tokens = told.flatMap((one) => ('token' in one ? [one.token] : []));
  if (json) for (const row of command === 'sessions' ? sessions : tokens) print(jsonLine(row));
  else print(command === 'sessions' ? sessionTable(sessions) : tokenTable(tokens));
  if (told.some((one) => 'end' in one && one.more === true)) remark('there are more than these');
}
