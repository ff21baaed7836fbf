// What a stored record looks like to whoever reads it back.
// What always holds: nothing that was stored is believed before it has passed through here, and no key is unknown.
import { z } from 'zod';
import { clipboardModes } from '../clipboard.js';
import { UNKNOWN_UID } from './grant.js';
import type { SessionId } from './record.js';
import { ENDPOINT_ID } from './zone.js';

/** Milliseconds since 1970 that a Date can hold; settings in fractions of a second make fractions here. */
const time = z.number().min(0).max(8.64e15);

const grantShape = {
  vmId: z.int().min(0),
  target: z.strictObject({
    host: z.string().regex(/^[A-Za-z0-9._:-]{1,255}$/),
    port: z.int().min(1).max(65_535),
  }),
  user: z.string(),
  issuedAt: time,
  expiresAt: time,
};

const callerSchema = z.strictObject({
  uid: z.int(),
  gids: z.array(z.int()),
  byPermission: z.boolean(),
});

export const zoneSchema = z.strictObject({
  id: z.int().min(0).optional(),
  endpoint: z.string().regex(ENDPOINT_ID),
});

export const vncSchema = z.strictObject({
  sealedPassword: z.string().max(2048),
  viewOnly: z.boolean(),
  clipboard: z.enum(clipboardModes),
});

const leaseSchema = z.strictObject({
  session: z
    .string()
    .min(1)
    .max(64)
    .transform((text) => text as SessionId),
  client: z.string().max(64),
  since: time,
  until: time,
  bytes: z.number().min(0),
});

const useSchema = z.strictObject({
  firstAt: time,
  network: z.string().max(64),
  leases: z.array(leaseSchema),
  openUntil: time,
  leftAt: time.optional(),
  takenOverAt: time.optional(),
});

const grantSchema = z
  .strictObject({
    ...grantShape,
    uid: z.int().min(UNKNOWN_UID).optional(),
    egid: z.int().min(0).optional(),
    zone: zoneSchema.optional(),
    caller: callerSchema.optional(),
    manages: z.boolean().optional(),
    vnc: vncSchema.optional(),
  })
  .transform((grant) => ({ ...grant, uid: grant.uid ?? grant.caller?.uid ?? UNKNOWN_UID }));

/** The fields of a `TokenRecord`, to be put into a strict object with others. */
export const recordShape = {
  grant: grantSchema,
  use: useSchema.optional(),
  ended: z.enum(['revoked', 'vm-gone']).optional(),
  keepUntil: time,
};

/** The fields of a grant as the first release stored it. */
export const formerGrantShape = grantShape;
