/** Time and randomness. The clock is injected, so that tests and simulations can replace it. */
import { randomBytes } from 'node:crypto';

export interface Clock {
  /** Milliseconds on a monotonic clock; only differences have a meaning. */
  now(): number;
}

export const systemClock: Clock = { now: () => performance.now() };

const TOKEN_BYTES = 12;
let random = Buffer.alloc(0);
let used = 0;

/**
 * A token or epoch: 96 random bits. It never begins with "-": operators type names that begin with a token as
 * arguments of the command line. One system call for each cost a producer a tenth of its time.
 */
export function randomToken(): string {
  if (used === random.length) {
    random = randomBytes(256 * TOKEN_BYTES);
    used = 0;
  }
  used += TOKEN_BYTES;
  const token = random.toString('base64url', used - TOKEN_BYTES, used);
  return token.startsWith('-') ? randomToken() : token;
}

/**
 * Result of the work, or undefined if it fails or takes longer than `ms`. A process that stood still reads what
 * arrived meanwhile before the time counts as over.
 */
export async function within<Answer>(work: Promise<Answer>, ms: number): Promise<Answer | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>(resolve => {
    timer = setTimeout(() => setImmediate(() => resolve(undefined)), ms);
  });
  try {
    return await Promise.race([work.catch(() => undefined), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves after `ms`, or at once when the signal aborts. Never rejects. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}

/**
 * Result of the work. The work goes on after a timeout.
 * @throws what the work throws; after `ms` an error with the code ETIMEDOUT, as a socket would raise it
 */
export async function orTimeout<Answer>(work: Promise<Answer>, ms: number, what: string): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error(what), { code: 'ETIMEDOUT' })), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
