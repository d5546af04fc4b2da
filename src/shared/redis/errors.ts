/** Classifies errors of Redis by the code of the reply, and turns them into errors of Sluice. */
import { within } from '../clock.ts';
import { failureReason, tlsProblem } from '../connection-failure.ts';
import {
  AccessDeniedError,
  RedisOutOfMemoryError,
  RedisUnavailableError,
  RedisUnsuitableError,
  SluiceError,
  TlsFailedError,
} from '../errors.ts';

type Meaning =
  /** The credentials or the user's rights are not sufficient. Retrying does not help. */
  | 'denied'
  /** The server cannot be used with this configuration. Retrying does not help. */
  | 'unsuitable'
  | 'full'
  /** The server cannot be used now, but may recover. */
  | 'unavailable';

/** By the first word of the reply. After the general `ERR`, also by words that Redis never changed. */
const REPLIES: readonly (readonly [opening: string, meaning: Meaning, story: string])[] = [
  ['NOAUTH', 'denied', 'it requires a password'],
  ['WRONGPASS', 'denied', 'user and password do not match, or the user is off'],
  ['NOPERM', 'denied', 'this user may not use that command or those keys'],
  ['DENIED', 'denied', 'it is in protected mode, so without a password it serves its own machine only'],
  ['OOM', 'full', 'it is at its maxmemory'],
  ['FOREIGN', 'unsuitable', 'the partition belongs to another deployment or another version'],
  ['READONLY', 'unavailable', 'it is a replica and takes no writes'],
  ['MASTERDOWN', 'unavailable', 'it is a replica that has lost its primary'],
  ['LOADING', 'unavailable', 'it is loading its data'],
  ['NOREPLICAS', 'unavailable', 'it has fewer good replicas than min-replicas-to-write requires'],
  ['MISCONF', 'unavailable', 'it cannot save to its disk and so takes no writes'],
  ['BUSY', 'unavailable', 'it is busy with a script that does not end'],
  ['CLUSTERDOWN', 'unavailable', 'the Cluster does not serve all of its slots'],
  ['TRYAGAIN', 'unavailable', 'the Cluster is moving that slot'],
  ['ERR max number of clients', 'unavailable', 'it has as many connections as maxclients allows'],
  ['ERR No such master', 'unavailable', 'it is a Sentinel that knows no primary of that name'],
  [
    'ERR unknown command',
    'unsuitable',
    'it does not know that command; rename-command or a proxy may hide it',
  ],
];

/** The code at the start of an error reply (`OOM`, `NOAUTH`, `READONLY`, ...), which is stable. */
export function replyCode(error: unknown): string | undefined {
  const reply = replyOf(error);
  return reply && /^[A-Z]+/.exec(reply.message)?.[0];
}

/** The error reply; if a Cluster client tried all nodes, the reply of the last one. */
function replyOf(error: unknown): (Error & { command?: { name?: string } }) | undefined {
  const cause = (error as { lastNodeError?: unknown } | undefined)?.lastNodeError ?? error;
  if (!(cause instanceof Error)) return undefined;
  return cause.name === 'ReplyError' || cause.constructor.name === 'ReplyError' ? cause : undefined;
}

/** For example `NOPERM to EVALSHA`. The reply's text is never shown, since it may quote data. */
function named(error: unknown): string | undefined {
  const code = replyCode(error);
  const command = replyOf(error)?.command?.name;
  return code && command ? `${code} to ${command.toUpperCase()}` : code;
}

/** The code of a system or TLS error: `ECONNREFUSED`, `SELF_SIGNED_CERT_IN_CHAIN`. */
function systemCode(error: unknown): string | undefined {
  const { code } = ((error as { lastNodeError?: unknown } | undefined)?.lastNodeError ?? error ?? {}) as {
    code?: unknown;
  };
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]+$/.test(code) ? code : undefined;
}

/**
 * Turns an error of ioredis into a Sluice error. An unknown error means that Redis is unavailable. A
 * retryable error may pass by itself, the others do not.
 */
export function redisError(error: unknown, address: string): SluiceError {
  if (error instanceof SluiceError) return error;
  const text = replyOf(error)?.message ?? '';
  const [, meaning, story] = REPLIES.find(([opening]) => text.startsWith(opening)) ?? [];
  const details = { cause: error };
  if (meaning === 'denied')
    return new AccessDeniedError('Redis', address, { ...details, reason: `${named(error)}: ${story}` });
  if (meaning === 'full') return new RedisOutOfMemoryError(details);
  if (meaning === 'unsuitable')
    return new RedisUnsuitableError(
      `Redis at ${address} cannot be used (${named(error)}): ${story}; see docs/operating.md.`,
      details,
    );
  const problem = tlsProblem(error);
  if (problem) return new TlsFailedError('Redis', address, problem, details);
  const code = named(error) ?? systemCode(error);
  const told = story ?? failureReason(error);
  const reason = code && (told ? `${code}: ${told}` : code);
  return new RedisUnavailableError(address, { ...details, reason });
}

/**
 * The answer of Redis, if it comes in time: ioredis would wait for a lost server for ever.
 * @throws RedisUnavailableError, or what `redisError` makes of its error
 */
export async function answerInTime<Answer>(
  answer: Promise<Answer>,
  ms: number,
  address: string,
): Promise<Answer> {
  const ended = answer.then(
    value => ({ value }),
    error => ({ error: redisError(error, address) }),
  );
  const found = await within(ended, ms);
  if (found === undefined) throw new RedisUnavailableError(address);
  if ('error' in found) throw found.error;
  return found.value;
}
