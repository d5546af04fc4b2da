/** Passwords as they are kept: scrypt with a salt of its own for each user. */
import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

const derive = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt);
/** What OWASP names for scrypt: 2^17 steps of 8 blocks, 128 MiB, about 0.3 s. */
const COST = { N: 2 ** 17, r: 8, p: 1, maxmem: 256 * 1024 * 1024 } as const;
const BYTES = 32;

function text(salt: Buffer, digest: Buffer): string {
  return ['scrypt', COST.N, salt.toString('base64url'), digest.toString('base64url')].join('$');
}

/** To check a password against it takes as long as for a user, and no password is right. */
export const NOBODY = text(Buffer.alloc(16), Buffer.alloc(BYTES));

/** @returns the text for `users.password` */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  return text(salt, await derive(password, salt, BYTES, COST));
}

export async function isPassword(password: string, kept: string): Promise<boolean> {
  const [method, cost, salt, digest] = kept.split('$');
  if (method !== 'scrypt') return false;
  const wanted = Buffer.from(digest!, 'base64url');
  const options = { ...COST, N: Number(cost) };
  return timingSafeEqual(
    await derive(password, Buffer.from(salt!, 'base64url'), wanted.length, options),
    wanted,
  );
}
