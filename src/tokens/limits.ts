// How many tokens there may be, live ones by setting and ended ones by a bound, and in what words too many are refused.
import { GatewayError } from '../errors.js';

/**
 * Ended tokens that are remembered. Beyond, those go first that are remembered for the shortest time: those that nobody
 * was on, then the oldest. What is forgotten opens no more all the same.
 */
export const MAX_ENDED_OF_VM = 256;
export const MAX_ENDED_OF_USER = 1024;

export function tooManyOfVm(max: number): GatewayError {
  return new GatewayError('too-many-tokens', { detail: `max_tokens_per_vm (${max}) is reached` });
}

export function tooManyOfUser(max: number): GatewayError {
  return new GatewayError('too-many-tokens', {
    publicText: 'You have too many console links, try again later',
    detail: `max_tokens_per_user (${max}) is reached`,
  });
}
