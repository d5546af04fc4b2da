/** What several parts read of a request. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { HttpError } from './errors.ts';
import type { Shop } from './shop.ts';

/** Ids of products and users: whole numbers, as texts of a path. */
export const ID = { type: 'string', pattern: '^[1-9][0-9]{0,14}$' } as const;
/** The same in a body. */
export const BODY_ID = { type: 'integer', minimum: 1, maximum: 999_999_999_999_999 } as const;

/** The caller's id for a request, which counts once if it is repeated. Ids that the shop makes have a colon. */
export function nameOf(request: FastifyRequest): { id?: string } {
  const id = request.headers['idempotency-key'];
  if (typeof id !== 'string') return {};
  // With `payment:o9`, a caller could make the payment of this order look done.
  if (id.includes(':'))
    throw new HttpError(
      400,
      'RESERVED_ID',
      'An Idempotency-Key must have no colon: ids of the shop have one.',
    );
  return { id };
}

/**
 * The same for points: Sluice refuses an entry without an id, and so a request without the header.
 * @param owner of the name, for an account to which several write: each has names of its own, as `buy:7` of user 7
 */
export function entryOf(request: FastifyRequest, owner?: string): { id: string } {
  const { id } = nameOf(request);
  return (id && owner !== undefined ? { id: `${owner}:${id}` } : nameOf(request)) as { id: string };
}

const digest = (text: string) => createHash('sha256').update(text).digest();

/** A hook before the handler: lets only operators through, who send the admin key. */
export function adminOnly({ settings: { adminKey } }: Shop) {
  return async (request: FastifyRequest): Promise<void> => {
    const given = request.headers['x-admin-key'];
    if (
      adminKey === undefined ||
      typeof given !== 'string' ||
      !timingSafeEqual(digest(given), digest(adminKey))
    )
      throw new HttpError(403, 'ADMIN_ONLY', 'Send the key of the operators as x-admin-key.');
  };
}
