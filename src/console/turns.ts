// Whose turn a call of oned is. What always holds: nobody takes turns of a user who has not proved to be him; all who
// have not are together as one user, in it each network has the same, and in a network each name.
import { networkOf } from '../client-address.js';
import type { Turn } from '../oned/fair-queue.js';
import { userKey } from './user-key.js';

/** Of a user whom oned has accepted, be it by a session or by a token that was made for him. */
export function userTurn(user: string): Turn {
  return [`user ${userKey(user)}`];
}

/** Of somebody who says to be a user. @param client his address, or of the portal that asks for him */
export function strangerTurn(client: string, user: string): Turn {
  return ['strangers', networkOf(client), userKey(user)];
}
