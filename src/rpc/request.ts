// From a decoded call to a request for one of the methods. What always holds: what is wrong with a call is said before
// anybody is asked anything, and without a word that could be a secret.
import { GatewayError } from '../errors.js';
import type { SessionString } from '../oned/session-string.js';
import { printable } from '../printable.js';
import type { RpcCall } from './call.js';
import type { ConsoleRequest } from './method.js';
import { readOptions } from './options.js';
import { decodeInteger, type RpcValue } from './value.js';

/** session string, VM id, and a struct of options. */
const MAX_PARAMETERS = 3;
const MAX_INT = 2 ** 31 - 1;
const MAX_QUOTED_LENGTH = 64;

/**
 * @param known the methods that there are
 * @throws GatewayError `unknown-method`, `bad-parameters`
 */
export function readRequest({ method, parameters }: RpcCall, known: readonly string[]): ConsoleRequest {
  if (!known.includes(method)) {
    const quoted = printable(method, MAX_QUOTED_LENGTH);
    throw new GatewayError('unknown-method', {
      publicText: `Unknown method '${quoted}'. Expected one of: ${known.join(', ')}`,
      detail: 'unknown method',
    });
  }
  const [session, vmId, options] = parameters;
  if (session === undefined || vmId === undefined || parameters.length > MAX_PARAMETERS) {
    throw wrongParameters(
      `${method} takes a session string, a VM id and optionally a struct; ${parameters.length} parameters came`,
    );
  }
  if (session.type !== 'string') throw wrongParameters('The first parameter, the session, is no string');
  return {
    method,
    session: session.text.replace(/\r?\n$/, '') as SessionString,
    vmId: vmIdOf(vmId),
    options: readOptions(options),
  };
}

/** A 32-bit integer in any of the types that portals use, or a text of digits. */
function vmIdOf(value: RpcValue): number {
  const integer = value.type === 'string' ? decodeInteger(value.text) : value;
  if (integer.type !== 'int' || integer.value > MAX_INT || integer.value < -MAX_INT - 1) {
    throw wrongParameters('The second parameter, the VM id, is no integer in range');
  }
  return integer.value;
}

function wrongParameters(publicText: string): GatewayError {
  return new GatewayError('bad-parameters', { publicText });
}
