/**
 * Every error that Sluice raises: one class each, with a stable code, whether the same call may be repeated, and a
 * message that says what happened, to what, and what to do next. Callers match on `code` or class, never on text.
 */

import { failureReason, failureRemedy } from './connection-failure.ts';

interface Details {
  cause?: unknown;
}

interface Reasoned extends Details {
  /** What the server said, or why it could not be asked. */
  reason?: string | undefined;
}

const CHECK = 'check that it runs and can be reached';

function because({ reason }: Reasoned): string {
  return reason ? ` (${reason})` : '';
}

/** A name that somebody gave, in quotes and not too long; of anything else only what it is, as it may not be printable. */
export function shown(name: unknown): string {
  if (typeof name !== 'string') return `of type ${name === null ? 'null' : typeof name}`;
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}...` : name);
}

/** Base of all Sluice errors. */
export abstract class SluiceError extends Error {
  /** Stable identifier, safe to match on. */
  abstract readonly code: string;
  /** Whether repeating the same call (with the same idempotency key) can succeed without other changes. */
  readonly retryable: boolean = false;

  constructor(message: string, details: Details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
  }
}

/** The update itself is malformed; `code` says which part. Nothing was sent. */
export class InvalidUpdateError extends SluiceError {
  readonly code: InvalidUpdateCode;
  constructor(code: InvalidUpdateCode, message: string) {
    super(message);
    this.code = code;
  }
}
export type InvalidUpdateCode =
  | 'INVALID_UPDATE'
  | 'INVALID_AMOUNT'
  | 'INVALID_KEY'
  | 'INVALID_ACCOUNT'
  | 'INVALID_ID'
  | 'MISSING_ID'
  | 'INVALID_REASON'
  | 'INVALID_METADATA';

/** A counter or program that the definitions do not name. */
export class UnknownNameError extends SluiceError {
  readonly code: 'UNKNOWN_COUNTER' | 'UNKNOWN_PROGRAM';
  constructor(kind: 'counter' | 'program', name: unknown, known: readonly string[]) {
    const names = known.length > 0 ? known.join(', ') : 'none';
    super(`${kind} ${shown(name)} is not defined (defined: ${names}); add it to the definitions.`);
    this.code = kind === 'counter' ? 'UNKNOWN_COUNTER' : 'UNKNOWN_PROGRAM';
  }
}

/** The debit would take the balance below the program's floor. Nothing was changed. */
export class InsufficientPointsError extends SluiceError {
  readonly code = 'INSUFFICIENT_POINTS';
  /** Balance at the time of refusal, points. */
  readonly balance: number;
  constructor(program: string, amount: number, balance: number, floor: number) {
    super(
      `A debit of ${-amount} from program ${program} was refused: the balance is ${balance} and may not fall below ${floor}.`,
    );
    this.balance = balance;
  }
}

/** The amount, the pending sum or the live value would leave plus or minus 2^53 - 1. Nothing was changed. */
export class OutOfRangeError extends SluiceError {
  readonly code = 'OUT_OF_RANGE';
  constructor(name: string) {
    super(
      `An update of ${name} was refused: its value would leave the safe integer range of plus or minus 2^53-1.`,
    );
  }
}

/** The same idempotency key came with other content. Nothing was changed. */
export class IdempotencyKeyReusedError extends SluiceError {
  readonly code = 'IDEMPOTENCY_KEY_REUSED';
  constructor(name: string) {
    super(
      `An update of ${name} reuses the id of an earlier update with other content; give every update an id of its own.`,
    );
  }
}

/** No answer came before the deadline: the update may have been applied. Safe to repeat with the same id. */
export class UnknownOutcomeError extends SluiceError {
  readonly code = 'UNKNOWN_OUTCOME';
  override readonly retryable = true;
  constructor(details: Details = {}) {
    super(
      'Redis did not answer before the deadline, so the update may or may not be applied; repeat it with the same id.',
      details,
    );
  }
}

/** Redis could not be reached; nothing was applied. */
export class RedisUnavailableError extends SluiceError {
  readonly code = 'REDIS_UNAVAILABLE';
  override readonly retryable = true;
  constructor(where: string, details: Reasoned = {}) {
    super(
      `Redis at ${where} cannot be used now${because(details)}; ${failureRemedy(details.cause) ?? CHECK}, then repeat the call.`,
      details,
    );
  }
}

/** Redis refused the write because it is at maxmemory; nothing was applied. */
export class RedisOutOfMemoryError extends SluiceError {
  readonly code = 'REDIS_OUT_OF_MEMORY';
  override readonly retryable = true;
  constructor(details: Details = {}) {
    super(
      'Redis is at its maxmemory and refused the update; let the workers drain it or give it more memory.',
      details,
    );
  }
}

/** What stands in the way of an update under backpressure. */
export type BackpressureLimit = 'keys' | 'entries' | 'age' | 'memory';

/** The partition holds as much as it may until the workers have written some of it. Nothing was applied. */
export class BackpressureError extends SluiceError {
  readonly code = 'BACKPRESSURE';
  override readonly retryable = true;
  readonly limit: BackpressureLimit;
  /** When trying again is worth it, ms. */
  readonly retryAfterMs: number;
  constructor(name: string, limit: BackpressureLimit, retryAfterMs: number) {
    const story = {
      keys: 'too many keys are pending',
      entries: 'too many entries are not in the database yet',
      age: 'the oldest pending update is too old',
      memory: 'Redis is close to its maxmemory',
    }[limit];
    super(
      `An update of ${name} was refused: ${story}; repeat it after ${retryAfterMs} ms, and look at the workers and the database if it goes on.`,
    );
    this.limit = limit;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The update is applied, but what its durability asks for was not confirmed in time. Safe to repeat with the same id. */
export class NotDurableError extends SluiceError {
  readonly code = 'NOT_DURABLE';
  override readonly retryable = true;
  constructor(durability: string) {
    super(
      `The update is applied, but its durability "${durability}" was not confirmed in time, so it may be lost with the primary; repeat it with the same id to have it confirmed.`,
    );
  }
}

/** A claim was not confirmed by a replica or the disk in time: its batch is not written before it is. */
export class ClaimNotDurableError extends SluiceError {
  readonly code = 'CLAIM_NOT_DURABLE';
  override readonly retryable = true;
  constructor(partition: number, durability: string, details: Details = {}) {
    super(
      `The claim of partition ${partition} was not confirmed with durability "${durability}"; it is claimed again. Check the replicas of Redis, or its append-only file, if it goes on.`,
      details,
    );
  }
}

/** MySQL could not be reached, or cannot take writes now. */
export class DatabaseUnavailableError extends SluiceError {
  readonly code = 'DATABASE_UNAVAILABLE';
  override readonly retryable = true;
  constructor(where: string, details: Details = {}) {
    const reason = failureReason(details.cause);
    super(
      `The database at ${where} cannot be used now${because({ reason })}; ${failureRemedy(details.cause) ?? CHECK}, then repeat the call.`,
      details,
    );
  }
}

/** Encryption with the server cannot be set up: its certificate is not trusted, or only one side speaks TLS. */
export class TlsFailedError extends SluiceError {
  readonly code = 'TLS_FAILED';
  constructor(server: 'Redis' | 'The database', where: string, problem: string, details: Details = {}) {
    const check =
      server === 'Redis'
        ? 'write rediss:// for TLS and redis:// without, and name the PEM file of its authority with REDIS_CA'
        : 'set MYSQL_TLS to 1 for TLS, to rds for Amazon RDS or to 0 without, and name the PEM file of its authority with MYSQL_CA';
    super(`${server} at ${where} cannot be used with this TLS: ${problem}; ${check}.`, details);
  }
}

/** The credentials for a login to RDS could not be had. */
export class CredentialsUnavailableError extends SluiceError {
  readonly code = 'CREDENTIALS_UNAVAILABLE';
  override readonly retryable = true;
  constructor(where: string, what: string) {
    super(
      `The credentials for the login to the database could not be fetched: ${where} ${what}; check that the ECS task has a role, then repeat the call.`,
    );
  }
}

/** MySQL answered with an error that is neither an outage nor about the data: a missing column, a missing right, a bug. */
export class DatabaseFailedError extends SluiceError {
  readonly code = 'DATABASE_FAILED';
  constructor(where: string, databaseCode: string, details: Details = {}) {
    super(
      `The database at ${where} refused a statement (${databaseCode}); see the cause, and whether its schema was changed.`,
      details,
    );
  }
}

/** Redis or MySQL refused the credentials, or does not allow this user a command that Sluice needs. */
export class AccessDeniedError extends SluiceError {
  readonly code = 'ACCESS_DENIED';
  constructor(
    server: 'Redis' | 'The Sentinel' | 'The database',
    where: string,
    details: Reasoned = {},
    check = 'user, password and grants',
  ) {
    super(
      `${server} at ${where} refused these credentials or this user's rights${because(details)}; check ${check}.`,
      details,
    );
  }
}

/** Configuration, definitions or options are wrong. */
export class ConfigurationError extends SluiceError {
  readonly code = 'INVALID_CONFIGURATION';
}

/**
 * This Redis cannot keep Sluice's promises, or it is not the one that is meant: it may evict, is too old, is a replica,
 * refuses the database number, or holds what another deployment wrote.
 */
export class RedisUnsuitableError extends SluiceError {
  readonly code = 'REDIS_UNSUITABLE';
}

/** A table of yours, to which a counter or program is mapped, cannot be used as it is now: it was changed, or is locked. */
export class TableUnusableError extends SluiceError {
  readonly code = 'TABLE_UNUSABLE';
  override readonly retryable = true;
  /** @param owner `counter "views"` @param place table and columns @param reason what the database says */
  constructor(owner: string, place: string, reason: string, details: Details = {}) {
    super(
      `${owner} is mapped to ${place}, which cannot be used now (${reason}). Its updates are held in the database until then; mend the table, or wait until its change has ended, and repeat the call.`,
      details,
    );
  }
}

/** This database is not there, or it or a mapped table in it cannot keep Sluice's promises. */
export class DatabaseUnsuitableError extends SluiceError {
  readonly code = 'DATABASE_UNSUITABLE';
}

/** A row or value that has to exist was not in the answer of the database: a zero in its place would be a wrong value. */
export class AnswerMissingError extends SluiceError {
  readonly code = 'DATABASE_ANSWER_MISSING';
  /** @param what that was asked for */
  constructor(what: string) {
    super(
      `The database did not return what has to exist: ${what}. Nothing was changed; look for a proxy in between that changes statements or answers, and report this.`,
    );
  }
}

/** A pending update has a text longer than this version allows. The database would cut it in silence. */
export class TextTooLongError extends SluiceError {
  readonly code = 'TEXT_TOO_LONG';
  /** @param what the text is, such as `counter key` @param name counter or program @param limit bytes */
  constructor(what: string, name: string, limit: number) {
    super(
      `A pending update of ${name} has a ${what} of more than ${limit} bytes, which only a newer version of Sluice accepts; update this process.`,
    );
  }
}

/** The configured number of partitions is not the recorded one. */
export class PartitionCountError extends SluiceError {
  readonly code = 'PARTITION_COUNT_MISMATCH';
  constructor(configured: number, recorded: number, where: string) {
    super(
      `This process is configured for ${configured} partitions, but ${where} was set up with ${recorded}. ` +
        `Set SLUICE_PARTITIONS=${recorded}; to really change the number, everything has to stop and drain first: ` +
        'docs/operating.md, "Changing the number of partitions".',
    );
  }
}

/** The database has no Sluice schema, or lost a watermark row. */
export class NotMigratedError extends SluiceError {
  readonly code = 'NOT_MIGRATED';
  constructor(what: string, details: Details = {}) {
    super(`${what}; run sluice migrate.`, details);
  }
}

/** Redis or MySQL was written by a newer version of Sluice. */
export class NewerFormatError extends SluiceError {
  readonly code = 'NEWER_FORMAT';
  constructor(where: string, found: number, known: number) {
    super(`${where} has format ${found}, this version of Sluice knows ${known}; update this process.`);
  }
}

/** A partition stands still because Redis or MySQL is not what it was; an operator has to decide. */
export class PartitionHaltedError extends SluiceError {
  readonly code: 'DATABASE_WENT_BACK' | 'REDIS_BACKUP_RESTORED';
  constructor(code: PartitionHaltedError['code'], partition: number, sequence: number, watermark: number) {
    const story =
      code === 'DATABASE_WENT_BACK'
        ? 'the database is behind Redis, as after the restore of an older backup of the database'
        : 'its batch is older than the journal, as after the restore of an old backup of Redis';
    super(
      `Partition ${partition} is halted: ${story} (batch ${sequence}, watermark ${watermark}). ` +
        'Nothing of it is written until an operator has decided: "sluice recover" shows both sides; see docs/recovery.md.',
    );
    this.code = code;
  }
}

/** The producer's buffer is full, since Redis is slower than the callers. Nothing was sent. */
export class ProducerOverloadedError extends SluiceError {
  readonly code = 'PRODUCER_OVERLOADED';
  override readonly retryable = true;
  constructor(limit: number) {
    super(
      `The producer holds ${limit} updates of one partition that Redis has not taken yet; slow down and repeat.`,
    );
  }
}

/** The producer was closed before the call. */
export class ProducerClosedError extends SluiceError {
  readonly code = 'PRODUCER_CLOSED';
  constructor() {
    super('This producer is closed; create another one.');
  }
}

/** `persisted()` waited its time out; the update is still on its way. */
export class PersistTimeoutError extends SluiceError {
  readonly code = 'PERSIST_TIMEOUT';
  override readonly retryable = true;
  /** @param heldFor what keeps the table of the update from taking it, if it is held */
  constructor(timeoutMs: number, heldFor?: string) {
    super(
      heldFor === undefined
        ? `The update was not in the database after ${timeoutMs} ms; it is still pending, wait again or look at the workers.`
        : `The update was not in its table after ${timeoutMs} ms: the database holds it, since the table cannot be written now (${heldFor}). It will be written by itself once the table can; wait again, or mend the table.`,
    );
  }
}

/** The partition's epoch changed while waiting: a loss in Redis was found, this update may be part of it. */
export class PersistenceUnknownError extends SluiceError {
  readonly code = 'PERSISTENCE_UNKNOWN';
  constructor() {
    super(
      'Redis lost answered writes while this update was on its way, so it may be lost; compare with the database.',
    );
  }
}

/** MySQL refused the update for its own sake; it waits in quarantine. */
export class QuarantinedError extends SluiceError {
  readonly code = 'QUARANTINED';
  constructor(name: string, errorCode: string) {
    super(`The update of ${name} was refused by the database (${errorCode}) and is in sluice_quarantine.`);
  }
}

/** Live values keep moving away under a read; the partition is being repaired. */
export class ReadUnsettledError extends SluiceError {
  readonly code = 'READ_UNSETTLED';
  override readonly retryable = true;
  constructor(partition: number, reason: string) {
    super(
      `Partition ${partition} could not be read exactly (${reason}); repeat the call, and look at the workers if it goes on.`,
    );
  }
}

/** An operation on failed updates that cannot be resumed or shown. Nothing was changed. */
export class OperationError extends SluiceError {
  readonly code: 'UNKNOWN_OPERATION' | 'OPERATION_FINISHED';
  constructor(code: OperationError['code'], operation: number) {
    super(
      code === 'UNKNOWN_OPERATION'
        ? `There is no operation ${operation} of this kind; see sluice failed audit.`
        : `Operation ${operation} has finished; start another one for what is in quarantine now.`,
    );
    this.code = code;
  }
}
