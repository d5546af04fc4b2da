/** The answer for an accepted update. */
import { HoldReceipt, type Receipt } from '../producer/receipt.ts';
import { stateOfApplied } from './persistence.ts';
import type { Answer, Call } from './route.ts';

/** @param created the status of an update that was not known before */
export async function written(
  { reply, waitMs }: Pick<Call, 'reply' | 'waitMs'>,
  receipt: Receipt,
  created: 200 | 201,
): Promise<Answer> {
  const { value, duplicate } = receipt;
  const balance = receipt instanceof HoldReceipt ? { value, held: receipt.held } : { value };
  if (duplicate) reply.header('idempotency-hit', 'true');
  const status = duplicate ? 200 : created;
  if (waitMs === undefined) return { status, body: { ...balance, duplicate, state: 'accepted' } };
  reply.header('preference-applied', `wait=${waitMs / 1000}`);
  const state = await stateOfApplied(receipt, waitMs);
  return { status, body: { ...balance, duplicate, state, receipt: receipt.text } };
}
