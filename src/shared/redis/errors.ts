/** Errors of Redis sorted by the code of its reply into what they mean, and turned into errors of Sluice. */
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
  /** The credentials or the user's rights do not do; waiting does not help. */
  | 'denied'
  /** This server, set up like this, cannot be used; waiting does not help. */
  | 'unsuitable'
  | 'full'
  /** It cannot be used now; it may be again, without anything done here. */
  | 'unavailable';

/** By the word that opens the reply; where that is the general `ERR`, by as much of its text as Redis never changed. */
const REPLIES: readonly (readonly [opening: string, meaning: Meaning, story: string])[] = [
  ['NOAUTH', 'denied', 'it requires a password'],
  ['WRONGPASS', 'denied', 'user and password do not match, or the user is off'],
  ['NOPERM', 'denied', 'this user may not use that command or those keys'],
  ['DENIED', 'denied', 'it is in protected mode, so without a password it serves its own machine only'],
  ['OOM', 'full', 'it is at its maxmemory'],
  ['FOREIGN', 'unsuitable', 'the partition belongs to another deployment'],
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

/** The code that opens every error reply of Redis (`OOM`, `NOAUTH`, `READONLY`, ...), which is its protocol's stable part. */
export function replyCode(error: unknown): string | undefined {
  const reply = replyOf(error);
  return reply && /^[A-Z]+/.exec(reply.message)?.[0];
}

/** The reply of a server; where a Cluster's client tried all nodes, that of the last one. */
function replyOf(error: unknown): (Error & { command?: { name?: string } }) | undefined {
  const cause = (error as { lastNodeError?: unknown } | undefined)?.lastNodeError ?? error;
  if (!(cause instanceof Error)) return undefined;
  return cause.name === 'ReplyError' || cause.constructor.name === 'ReplyError' ? cause : undefined;
}

/** `NOPERM to EVALSHA`. The text of a reply is never shown, since it may quote what the command was about. */
function named(error: unknown): string | undefined {
  const code = replyCode(error);
  const command = replyOf(error)?.command?.name;
  return code && command ? `${code} to ${command.toUpperCase()}` : code;
}

/** What the system or TLS calls the failure of a connection: `ECONNREFUSED`, `SELF_SIGNED_CERT_IN_CHAIN`. */
function systemCode(error: unknown): string | undefined {
  const { code } = ((error as { lastNodeError?: unknown } | undefined)?.lastNodeError ?? error ?? {}) as {
    code?: unknown;
  };
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]+$/.test(code) ? code : undefined;
}

/**
 * Turns an error of ioredis into one of ours; anything not recognised counts as Redis being unavailable. What is
 * `retryable` may be cured by waiting, the others are not.
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
