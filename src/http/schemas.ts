/**
 * What requests hold and what answers hold, as zod schemas: the one source of checks, types and the OpenAPI
 * document. They check the shape; the producer checks the values of updates, with the same errors as for a
 * caller in the process.
 */
import * as z from 'zod';
import { LIMITS } from '../shared/limits.ts';
import type { CounterKey } from '../shared/updates/key.ts';
import { digits, one, parameter } from './parameters.ts';

const LARGEST = Number.MAX_SAFE_INTEGER;

/** A number as JSON wrote it: one that JavaScript would round is an object with the digits. */
function isNumber(value: unknown): boolean {
  return typeof value === 'number' || JSON.isRawJSON(value);
}

const anyNumber = z
  .custom<number>(isNumber, 'must be a whole number')
  .meta({ type: 'integer', minimum: -LARGEST, maximum: LARGEST });

const amount = z.custom<number>(isNumber, 'must be a whole number other than 0').meta({
  type: 'integer',
  minimum: -LARGEST,
  maximum: LARGEST,
  not: { const: 0 },
});

const key = z
  .custom<CounterKey>(value => typeof value === 'string' || Array.isArray(value), 'must be a string')
  .meta({
    oneOf: [
      { type: 'string', minLength: 1 },
      { type: 'array', minItems: 2, items: { oneOf: [{ type: 'string' }, { type: 'integer' }] } },
    ],
    description: `Up to ${LIMITS.key} bytes of UTF-8. A list if its table has a key of several columns`,
  });

const text = (limit: number, description: string) =>
  z
    .string()
    .meta({ minLength: 1, maxLength: limit, description: `${description}, up to ${limit} bytes of UTF-8` });

const metadata = z
  .custom<Record<string, unknown>>(
    value => typeof value === 'object' && value !== null && !Array.isArray(value) && !JSON.isRawJSON(value),
    'must be an object',
  )
  .meta({
    type: 'object',
    additionalProperties: true,
    description: `Kept as it is written, up to ${LIMITS.metadata} bytes`,
  });

const durability = z
  .enum(['memory', 'replica', 'fsync'])
  .describe('Where Redis must have the update before the answer; SLUICE_DURABILITY by default');

const id = text(LIMITS.id, 'Idempotency key');
const account = text(LIMITS.account, 'Account');

export const counterName = z.strictObject({ name: z.string().describe('A counter of the definitions') });
export const programName = z.strictObject({ name: z.string().describe('A program of the definitions') });

export const valueName = z.strictObject({ name: z.string().describe('A value of the definitions') });

export const put = z
  .strictObject({ key, is: anyNumber, durability: durability.optional() })
  .meta({ id: 'Put' });

export const increment = z
  .strictObject({ key, by: amount.optional(), id: id.optional(), durability: durability.optional() })
  .meta({ id: 'Increment' });

export const entry = z
  .strictObject({
    account,
    amount: amount.describe('Negative to take points'),
    id: id.optional(),
    reason: text(LIMITS.reason, 'Reason').optional(),
    metadata: metadata.optional(),
    durability: durability.optional(),
  })
  .meta({ id: 'Entry' });

export const transfer = z
  .strictObject({
    from: text(LIMITS.account, 'Account that gives the points'),
    to: text(LIMITS.account, 'Account that gets them'),
    amount: amount.describe('Above 0'),
    id: id.optional(),
    reason: text(LIMITS.reason, 'Reason').optional(),
    metadata: metadata.optional(),
    durability: durability.optional(),
  })
  .meta({ id: 'Transfer' });

const holdId = text(LIMITS.hold, 'Id of the hold');
const ofHold = {
  amount: amount.describe('Points to keep, above 0'),
  id: holdId.optional(),
  expiresInMs: z
    .custom<number>(isNumber, 'must be a whole number above 0')
    .meta({ type: 'integer', minimum: 1, description: 'After this time it ends by itself; never without' })
    .optional(),
};
const ofPost = {
  amount: amount.describe('Above 0, at most what is held; all of it by default').optional(),
  reason: text(LIMITS.reason, 'Reason').optional(),
  metadata: metadata.optional(),
};
export const hold = z
  .strictObject({ account, ...ofHold, durability: durability.optional() })
  .meta({ id: 'Hold' });
export const post = z
  .strictObject({ account, hold: holdId, ...ofPost, durability: durability.optional() })
  .meta({ id: 'Post' });
export const voidBody = z
  .strictObject({ account, hold: holdId, durability: durability.optional() })
  .meta({ id: 'Void' });

const counterUpdate = z
  .strictObject({ counter: z.string(), key, by: amount.optional(), id: id.optional() })
  .meta({ id: 'CounterUpdate' });
const pointsUpdate = z
  .strictObject({
    points: z.string(),
    account,
    amount,
    id: id.optional(),
    reason: text(LIMITS.reason, 'Reason').optional(),
    metadata: metadata.optional(),
  })
  .meta({ id: 'PointsUpdate' });
const transferUpdate = z
  .strictObject({ points: z.string(), ...transfer.omit({ durability: true }).shape })
  .meta({ id: 'TransferUpdate' });
const { amount: held, ...restOfHold } = ofHold;
const holdUpdate = z
  .strictObject({ points: z.string(), account, hold: held, ...restOfHold })
  .meta({ id: 'HoldUpdate' });
const postUpdate = z
  .strictObject({ points: z.string(), account, post: holdId, ...ofPost })
  .meta({ id: 'PostUpdate' });
const voidUpdate = z.strictObject({ points: z.string(), account, void: holdId }).meta({ id: 'VoidUpdate' });
const valueUpdate = z.strictObject({ value: z.string(), key, is: anyNumber }).meta({ id: 'ValueUpdate' });
const forms = [
  counterUpdate,
  pointsUpdate,
  transferUpdate,
  holdUpdate,
  postUpdate,
  voidUpdate,
  valueUpdate,
] as const;
export const update = z.union(forms);
export type UpdateBody = z.infer<typeof update>;

export const UPDATES_LIMIT = 1000;
/** The producer checks each update by itself, so that one that is refused affects no other. */
export const updates = z
  .array(
    z
      .custom<UpdateBody>(value => typeof value === 'object' && value !== null, 'must be an object')
      .meta({
        oneOf: forms.map(form => ({ $ref: `#/components/schemas/${form.meta()!.id}` })),
      }),
  )
  .min(1)
  .max(UPDATES_LIMIT);

export const KEYS_LIMIT = 1000;
const RECEIPTS_LIMIT = 100;
/** Less than a connection may be idle, and than load balancers wait. */
export const WAIT_LIMIT_S = 50;
export const updatesQuery = z.strictObject({
  results: parameter(one, { enum: ['all', 'refused'] })
    .refine(value => value === 'all' || value === 'refused', 'must be all or refused')
    .optional()
    .describe('NDJSON: whether accepted lines are answered too; refused by default'),
  durability: parameter(one, { enum: ['memory', 'replica', 'fsync'] })
    .pipe(durability)
    .optional()
    .describe('Where Redis must have the updates before the answer; SLUICE_DURABILITY by default'),
});
export const keysQuery = z.strictObject({
  key: z.array(z.string()).min(1).max(KEYS_LIMIT).meta({ description: 'Given once for each key' }),
});
export const accountQuery = z.strictObject({ account: one });
export const holdQuery = z.strictObject({ account: one, hold: one.describe('Id of the hold') });
const HISTORY_LIMIT = 500;
export const historyQuery = z.strictObject({
  account: one,
  limit: digits(1, HISTORY_LIMIT).optional(),
  cursor: one.optional(),
});

const state = z
  .enum(['accepted', 'persisted', 'quarantined', 'superseded', 'unknown'])
  .describe(
    'accepted: Redis has it; persisted: MySQL has it; quarantined: MySQL refused it; superseded: it does not count, since MySQL has another hold of its id, or another end of its hold, which Redis had lost; unknown: Redis lost updates meanwhile, perhaps this one',
  );

export const writeAnswer = z
  .object({
    value: z.int().nullable().describe('The value right after the update; null if it is not live in Redis'),
    duplicate: z.boolean().describe('Whether the id was known: nothing was changed'),
    state,
    held: z.int().optional().describe('What is held of it; only after a hold, a post or a void'),
    receipt: z.string().optional().describe('For GET /v1/receipts; only with Prefer: wait=SECONDS'),
  })
  .meta({ id: 'Written' });
export const receiptsQuery = z.strictObject({
  receipt: z.array(z.string()).min(1).max(RECEIPTS_LIMIT).meta({ description: 'Given once for each update' }),
  wait: digits(0, WAIT_LIMIT_S).optional().describe('How long to wait for MySQL, seconds; 0 by default'),
});
export const receiptsAnswer = z
  .object({ states: z.array(state).describe('In the order of the receipts') })
  .meta({ id: 'States' });
export const balanceAnswer = z
  .object({
    account: z.string(),
    balance: z.int().describe('With what is held'),
    held: z.int().describe('What open holds keep of it'),
    available: z.int().describe('What a debit or a hold may take: all that is not held, above the floor'),
  })
  .meta({ id: 'Balance' });
export const holdAnswer = z
  .object({
    account: z.string(),
    hold: z.string(),
    amount: z.int().describe('Points that it holds, or held'),
    status: z.enum(['open', 'posted', 'voided', 'expired']),
    posted: z.int().describe('How many of them were taken; 0 unless it is posted'),
    expiresAt: z.iso
      .datetime()
      .nullable()
      .describe('By the clock of Redis; null if it never expires, or has ended'),
  })
  .meta({ id: 'HoldState' });
export const valuesAnswer = z
  .object({ values: z.array(z.int()).describe('In the order of the keys') })
  .meta({ id: 'Values' });
export const keptAnswer = z
  .object({ values: z.array(z.int().nullable()).describe('In the order of the keys; null if there is none') })
  .meta({ id: 'KeptValues' });
export const historyAnswer = z
  .object({
    entries: z.array(
      z.object({
        id: z.string(),
        amount: z.int(),
        balanceAfter: z
          .int()
          .nullable()
          .describe('Null for a pending credit of a transfer to an account that is not live in Redis'),
        reason: z.string().nullable(),
        metadata: z.record(z.string(), z.unknown()).nullable(),
        transfer: z
          .string()
          .nullable()
          .describe('The name of the transfer; null for other entries, and for a debit that is pending'),
        otherAccount: z.string().nullable().describe('The other account of a transfer'),
        hold: z.string().nullable().describe('The hold whose post the entry is; null for other entries'),
        createdAt: z.iso.datetime(),
        persisted: z.boolean().describe('Whether MySQL has it'),
      }),
    ),
    next: z.string().nullable().describe('The cursor of the next page; null at the end'),
  })
  .meta({ id: 'History' });

const refused = z
  .object({
    code: z.string(),
    detail: z.string(),
    retryable: z.boolean(),
    applied: z.enum(['no', 'yes', 'unknown']),
  })
  .meta({ id: 'Refused' });
export const updatesAnswer = z
  .object({ results: z.array(z.union([writeAnswer, z.object({ error: refused })])) })
  .meta({ id: 'Results' });
