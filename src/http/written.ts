/** The answer for an accepted update. */
import type { Receipt } from '../producer/receipt.ts';
import type { Answer, Call } from './route.ts';

export type Accepted = Pick<Receipt, 'value' | 'duplicate' | 'persisted'>;

/** @param created the status of an update that was not known before */
export async function written(
  { reply }: Pick<Call, 'reply'>,
  { value, duplicate }: Accepted,
  created: 200 | 201,
): Promise<Answer> {
  if (duplicate) reply.header('idempotency-hit', 'true');
  return { status: duplicate ? 200 : created, body: { value, duplicate, state: 'accepted' } };
}
