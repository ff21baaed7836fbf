// All methods by name: from a request to its answer. What always holds: an unknown name is refused with the known ones.
import { GatewayError } from '../errors.js';
import { issueMethods } from './issue-methods.js';
import { managementMethods } from './management-methods.js';
import type { Answer, ConsoleRequest, Method, MethodParts } from './method.js';

const methods: ReadonlyMap<string, Method> = new Map(
  Object.entries({ ...issueMethods, ...managementMethods }),
);

export const methodNames: readonly string[] = [...methods.keys()];

/**
 * Does what a request asks for.
 * @throws GatewayError
 */
export async function answerRequest(
  request: ConsoleRequest,
  parts: MethodParts,
  signal: AbortSignal,
): Promise<Answer> {
  const method = methods.get(request.method);
  if (method === undefined) throw new GatewayError('unknown-method');
  return method(request, parts, signal);
}
