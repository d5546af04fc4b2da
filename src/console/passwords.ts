/**
 * What is kept of a password: scrypt with its parameters, as one text. At most two are computed at once, so that
 * logins cannot use up the processor, and few may wait.
 */
import { randomBytes, randomInt, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import { RequestError } from '../http/request-error.ts';
import { ConfigurationError } from '../shared/errors.ts';

/** 32 MiB and about a third of a second of a core; OWASP gives these numbers. */
const COST = { ln: 15, r: 8, p: 3 } as const;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
const STORED = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([\w-]{22})\$([\w-]{43})$/;
/** A row that somebody wrote by hand must not cost more than these. */
const MOST = { ln: 17, r: 8, p: 8 } as const;
/** What OpenSSL refuses to exceed; MOST needs half of it. */
const MEMORY_LIMIT = 256 * 1024 * 1024;

const SHORTEST = 12;
export const LONGEST = 256;

const AT_ONCE = 2;
const MOST_WAITING = 20;
/** Seconds after which a login may be tried again, if too many wait. */
const WAIT = 5;

/** Digits and letters that nobody takes for another one. */
const SIGNS = '23456789abcdefghjkmnpqrstuvwxyz';

interface Parsed {
  readonly ln: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

let running = 0;
const waiting: (() => void)[] = [];

/** @throws ConfigurationError if it is too short, too long, or the name */
export function checkPassword(password: string, name: string): void {
  const { length } = [...password];
  if (length < SHORTEST || password.length > LONGEST)
    throw new ConfigurationError(`A password must have ${SHORTEST} to ${LONGEST} characters.`);
  if (password.toLowerCase() === name)
    throw new ConfigurationError("A password must not be the user's name; choose another one.");
}

/** 99 random bits, in groups that can be read out. */
export function makePassword(): string {
  const group = () => Array.from({ length: 5 }, () => SIGNS[randomInt(SIGNS.length)]!).join('');
  return [group(), group(), group(), group()].join('-');
}

/** @returns the text that `matches` takes */
export async function storedPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derive(password, { ...COST, salt });
  const { ln, r, p } = COST;
  return `$scrypt$ln=${ln},r=${r},p=${p}$${salt.toString('base64url')}$${hash.toString('base64url')}`;
}

/**
 * Takes the same time if there is no such user: then something is computed all the same.
 * @param stored undefined if there is no such user
 * @throws RequestError if too many logins wait
 */
export async function matches(password: string, stored: string | undefined): Promise<boolean> {
  const parsed = stored === undefined ? undefined : parse(stored);
  const { hash, ...rest } = parsed ?? { ...COST, salt: Buffer.alloc(SALT_BYTES), hash: undefined };
  const given = await derive(password, rest);
  return hash !== undefined && timingSafeEqual(given, hash);
}

function parse(stored: string): Parsed | undefined {
  const [, ln, r, p, salt, hash] = STORED.exec(stored) ?? [];
  if (salt === undefined || hash === undefined) return undefined;
  const cost = { ln: Number(ln), r: Number(r), p: Number(p) };
  if (cost.ln < 1 || cost.ln > MOST.ln || cost.r < 1 || cost.r > MOST.r || cost.p < 1 || cost.p > MOST.p)
    return undefined;
  return { ...cost, salt: Buffer.from(salt, 'base64url'), hash: Buffer.from(hash, 'base64url') };
}

async function derive(password: string, { ln, r, p, salt }: Omit<Parsed, 'hash'>): Promise<Buffer> {
  await turn();
  try {
    const options: ScryptOptions = { N: 2 ** ln, r, p, maxmem: MEMORY_LIMIT };
    return await new Promise((resolve, reject) => {
      // The same characters may be typed as different code points.
      scrypt(password.normalize('NFC'), salt, HASH_BYTES, options, (error, hash) =>
        error ? reject(error) : resolve(hash),
      );
    });
  } finally {
    const next = waiting.shift();
    if (next) next();
    else running -= 1;
  }
}

/** @throws RequestError if too many wait */
async function turn(): Promise<void> {
  if (running < AT_ONCE) {
    running += 1;
    return;
  }
  if (waiting.length >= MOST_WAITING)
    throw new RequestError(
      'RATE_LIMITED',
      `Too many logins are being checked; log in again after ${WAIT} s.`,
      { retryAfter: WAIT },
    );
  // Who ends hands its turn over, so `running` stays.
  await new Promise<void>(resolve => waiting.push(resolve));
}
