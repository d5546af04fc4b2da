/**
 * Every error that Sluice raises: its class, a stable code, whether the same call may be retried, and a
 * message that says what happened, to what, and what to do next. Match on `code` or class, never on text.
 */

import { failureReason, failureRemedy } from './connection-failure.ts';

interface Details {
  cause?: unknown;
}

interface Reasoned extends Details {
  /** The answer of the server, or why there was none. */
  reason?: string | undefined;
}

const CHECK = 'check that it runs and can be reached';

function because({ reason }: Reasoned): string {
  return reason ? ` (${reason})` : '';
}

/** A string in quotes, cut if it is long; for any other value only its type, as it may not be printable. */
export function shown(name: unknown): string {
  if (typeof name !== 'string') return `of type ${name === null ? 'null' : typeof name}`;
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}...` : name);
}

/** Base of all Sluice errors. */
export abstract class SluiceError extends Error {
  /** Stable identifier, safe to match on. */
  abstract readonly code: string;
  /** Whether a retry of the same call, with the same idempotency key, can succeed without other changes. */
  readonly retryable: boolean = false;

  constructor(message: string, details: Details = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
  }
}

/** The update is malformed; `code` names the part. Nothing was sent. */
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
  | 'INVALID_METADATA'
  | 'INVALID_EXPIRY'
  | 'TRANSFER_NOT_EDITABLE'
  | 'POST_NOT_EDITABLE';

const UNKNOWN_NAMES = {
  counter: 'UNKNOWN_COUNTER',
  program: 'UNKNOWN_PROGRAM',
  value: 'UNKNOWN_VALUE',
} as const;

/** A counter, program or value that the definitions do not name. */
export class UnknownNameError extends SluiceError {
  readonly code: 'UNKNOWN_COUNTER' | 'UNKNOWN_PROGRAM' | 'UNKNOWN_VALUE';
  constructor(kind: 'counter' | 'program' | 'value', name: unknown, known: readonly string[]) {
    const names = known.length > 0 ? known.join(', ') : 'none';
    super(
      `The ${kind} ${shown(name)} is not defined (defined: ${names}); correct the name, or add it to the definitions.`,
    );
    this.code = UNKNOWN_NAMES[kind];
  }
}

/** The debit would take the balance below the program's floor. Nothing was changed. */
export class InsufficientPointsError extends SluiceError {
  readonly code = 'INSUFFICIENT_POINTS';
  /** Balance at the time of refusal, points. */
  readonly balance: number;
  /** What holds kept of it. */
  readonly held: number;
  /** @param amount of the debit or the hold, above 0 */
  constructor(program: string, amount: number, balance: number, held: number, floor: number) {
    const kept = held > 0 ? `, of which ${held} are held,` : '';
    super(
      `${amount} points of program ${program} were refused: the balance is ${balance}${kept} and may not fall below ${floor}; ask for less, or credit points first.`,
    );
    this.balance = balance;
    this.held = held;
  }
}

/** The account has no hold with this id. Nothing was changed. */
export class UnknownHoldError extends SluiceError {
  readonly code = 'UNKNOWN_HOLD';
  constructor(program: string, hold: string) {
    super(
      `Program ${program} has no hold ${shown(hold)} on this account; hold the points first, or correct the id.`,
    );
  }
}

/** The hold has ended in another way than this call asks for. Nothing was changed, except that it may have expired now. */
export class HoldEndedError extends SluiceError {
  readonly code = 'HOLD_ENDED';
  readonly status: 'posted' | 'voided' | 'expired';
  /** How much of it was taken; 0 unless it was posted. */
  readonly posted: number;
  constructor(program: string, hold: string, status: 'posted' | 'voided' | 'expired', posted: number) {
    const how = status === 'posted' ? `posted with ${posted} points` : status;
    super(
      `The hold ${shown(hold)} of program ${program} was ${how} before, so this call changed nothing; a hold ends once.`,
    );
    this.status = status;
    this.posted = posted;
  }
}

/** A post asks for more than its hold has. Nothing was changed. */
export class HoldExceededError extends SluiceError {
  readonly code = 'HOLD_EXCEEDED';
  /** Points of the hold. */
  readonly amount: number;
  constructor(program: string, hold: string, posted: number, amount: number) {
    super(
      `A post of ${posted} from the hold ${shown(hold)} of program ${program} was refused: it holds ${amount} points; post that much at most, and debit the rest.`,
    );
    this.amount = amount;
  }
}

/** Amount, pending sum or value is or would be outside plus or minus 2^53-1. Nothing was changed. */
export class OutOfRangeError extends SluiceError {
  readonly code = 'OUT_OF_RANGE';
  constructor(name: string) {
    super(
      `A value of ${name} is or would be outside the safe integer range of plus or minus 2^53-1; use a smaller amount, or correct the value in the database.`,
    );
  }
}

/** The idempotency key belongs to an earlier update with other content. Nothing was changed. */
export class IdempotencyKeyReusedError extends SluiceError {
  readonly code = 'IDEMPOTENCY_KEY_REUSED';
  constructor(name: string) {
    super(
      `An update of ${name} reuses the id of an earlier update with other content; give each update its own id.`,
    );
  }
}

/** No answer came before the deadline: the update may have been applied. A retry with the same id is safe. */
export class UnknownOutcomeError extends SluiceError {
  readonly code = 'UNKNOWN_OUTCOME';
  override readonly retryable = true;
  constructor(details: Details = {}) {
    super(
      'Redis did not answer before the deadline, so the update may have been applied or not; repeat it with the same id.',
      details,
    );
  }
}

/** Redis could not be reached; nothing was applied. */
export class RedisUnavailableError extends SluiceError {
  readonly code = 'REDIS_UNAVAILABLE';
  override readonly retryable = true;
  constructor(address: string, details: Reasoned = {}) {
    super(
      `Redis at ${address} cannot be used now${because(details)}; ${failureRemedy(details.cause) ?? CHECK}, then repeat the call.`,
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
      'Redis is at its maxmemory and refused the update; give it more memory, or let workers flush, then repeat the call.',
      details,
    );
  }
}

/** The limit of the partition that an update met. */
export type BackpressureLimit = 'keys' | 'entries' | 'age' | 'memory';

/** The partition is at a limit until workers have written some of its updates. Nothing was applied. */
export class BackpressureError extends SluiceError {
  readonly code = 'BACKPRESSURE';
  override readonly retryable = true;
  readonly limit: BackpressureLimit;
  /** Wait before a retry, ms. */
  readonly retryAfterMs: number;
  constructor(name: string, limit: BackpressureLimit, retryAfterMs: number) {
    const story = {
      keys: 'too many keys are pending',
      entries: 'too many entries are not in the database yet',
      age: 'the oldest pending update is too old',
      memory: 'Redis is close to its maxmemory',
    }[limit];
    super(
      `An update of ${name} was refused: ${story}; repeat it after ${retryAfterMs} ms, and check the workers and the database if this continues.`,
    );
    this.limit = limit;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The update is applied, but its durability was not confirmed in time. A retry with the same id is safe. */
export class NotDurableError extends SluiceError {
  readonly code = 'NOT_DURABLE';
  override readonly retryable = true;
  constructor(durability: string) {
    super(
      `The update is applied, but its durability "${durability}" was not confirmed in time, so it may be lost with the primary; repeat it with the same id to have it confirmed.`,
    );
  }
}

/**
 * A primary has fewer replicas now than the durability `replica` needs, as just after a failover. Found before
 * anything was sent: nothing was applied.
 */
export class TooFewReplicasError extends SluiceError {
  readonly code = 'TOO_FEW_REPLICAS';
  override readonly retryable = true;
  constructor(address: string, found: number, needed: number) {
    super(
      `A primary of Redis at ${address} has ${found} replicas now, and durability "replica" needs ${needed}, so nothing was applied; repeat the call. If this continues, add replicas, lower barrierReplicas, or choose another durability.`,
    );
  }
}

/** The replicas or the disk did not confirm a claim in time. Its batch is not written before they do. */
export class ClaimNotDurableError extends SluiceError {
  readonly code = 'CLAIM_NOT_DURABLE';
  override readonly retryable = true;
  constructor(partition: number, durability: string, details: Details = {}) {
    super(
      `The claim of partition ${partition} was not confirmed with durability "${durability}"; a worker claims it again. If this continues, check the replicas of Redis, or its append-only file.`,
      details,
    );
  }
}

/** MySQL could not be reached, or cannot take writes now. */
export class DatabaseUnavailableError extends SluiceError {
  readonly code = 'DATABASE_UNAVAILABLE';
  override readonly retryable = true;
  constructor(address: string, details: Details = {}) {
    const reason = failureReason(details.cause);
    super(
      `The database at ${address} cannot be used now${because({ reason })}; ${failureRemedy(details.cause) ?? CHECK}, then repeat the call.`,
      details,
    );
  }
}

/** TLS with the server cannot be set up: its certificate is not trusted, or only one side speaks TLS. */
export class TlsFailedError extends SluiceError {
  readonly code = 'TLS_FAILED';
  constructor(server: 'Redis' | 'The database', address: string, problem: string, details: Details = {}) {
    const check =
      server === 'Redis'
        ? 'use rediss:// for TLS or redis:// without, and set REDIS_CA to the PEM file of its authority'
        : 'set MYSQL_TLS to 1 for TLS, to rds for Amazon RDS, or to 0 for no TLS, and set MYSQL_CA to the PEM file of its authority';
    super(`${server} at ${address} cannot be used with these TLS settings: ${problem}; ${check}.`, details);
  }
}

/** The credentials for a login to RDS could not be fetched. */
export class CredentialsUnavailableError extends SluiceError {
  readonly code = 'CREDENTIALS_UNAVAILABLE';
  override readonly retryable = true;
  /** @param answer how the server at the address failed, such as `did not answer` */
  constructor(address: string, answer: string) {
    super(
      `The credentials for the login to the database could not be fetched: ${address} ${answer}; check that the ECS task has a role, then repeat the call.`,
    );
  }
}

/** MySQL failed a statement, and neither an outage nor the data is the cause: a missing column, a bug. */
export class DatabaseFailedError extends SluiceError {
  readonly code = 'DATABASE_FAILED';
  constructor(address: string, databaseCode: string, details: Details = {}) {
    super(
      `The database at ${address} refused a statement (${databaseCode}); look at the cause of this error, and check whether its schema was changed.`,
      details,
    );
  }
}

/** Redis or MySQL refused the credentials, or does not allow this user a command that Sluice needs. */
export class AccessDeniedError extends SluiceError {
  readonly code = 'ACCESS_DENIED';
  constructor(
    server: 'Redis' | 'The Sentinel' | 'The database',
    address: string,
    details: Reasoned = {},
    check = 'user, password and grants',
  ) {
    super(
      `${server} at ${address} refused these credentials, or this user lacks a right${because(details)}; check ${check}.`,
      details,
    );
  }
}

/** Configuration, definitions or options are wrong. */
export class ConfigurationError extends SluiceError {
  readonly code = 'INVALID_CONFIGURATION';
}

/**
 * This Redis cannot keep Sluice's promises, or is the wrong one: it may evict, is too old, is a replica,
 * refuses the database number, or holds data of another deployment.
 */
export class RedisUnsuitableError extends SluiceError {
  readonly code = 'REDIS_UNSUITABLE';
}

/** The mapped table of a counter or program cannot be used now: it was changed, or is locked. */
export class TableUnusableError extends SluiceError {
  readonly code = 'TABLE_UNUSABLE';
  override readonly retryable = true;
  /** @param owner `counter "views"` @param target table and columns @param reason text of the database */
  constructor(owner: string, target: string, reason: string, details: Details = {}) {
    super(
      `The ${owner} is mapped to ${target}, which cannot be used now (${reason}). Its updates are held in the database until it can be used; fix the table, or wait until its change has ended, then repeat the call.`,
      details,
    );
  }
}

/** This database does not exist, or it or a mapped table cannot keep Sluice's promises. */
export class DatabaseUnsuitableError extends SluiceError {
  readonly code = 'DATABASE_UNSUITABLE';
}

/** The database did not return a row or value that must exist. A zero instead would be a wrong value. */
export class AnswerMissingError extends SluiceError {
  readonly code = 'DATABASE_ANSWER_MISSING';
  /** @param what the row or value, or the statement that asked for it */
  constructor(what: string) {
    super(
      `The database did not return something that must exist: ${what}. Nothing was changed; check whether a proxy changes statements or answers, and report this error.`,
    );
  }
}

/** A pending update has a longer text than this version allows, which the database would cut silently. */
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
  constructor(configured: number, recorded: number, server: string) {
    super(
      `This process is configured for ${configured} partitions, but ${server} was set up with ${recorded}. ` +
        `Set SLUICE_PARTITIONS=${recorded}. To change the number, stop and drain everything first: ` +
        'docs/operating.md, "Changing the number of partitions".',
    );
  }
}

/** The database has no schema of Sluice, an old one, or no watermark row of a partition. */
export class NotMigratedError extends SluiceError {
  readonly code = 'NOT_MIGRATED';
  constructor(what: string, details: Details = {}) {
    super(`${what}; run sluice migrate.`, details);
  }
}

/** Redis or MySQL was written by a newer version of Sluice. */
export class NewerFormatError extends SluiceError {
  readonly code = 'NEWER_FORMAT';
  constructor(server: string, found: number, known: number) {
    super(
      `${server} has format ${found}, but this version of Sluice only knows formats up to ${known}; update this process.`,
    );
  }
}

/** A partition is halted because Redis or MySQL went back in time; an operator has to decide. */
export class PartitionHaltedError extends SluiceError {
  readonly code: 'DATABASE_WENT_BACK' | 'REDIS_BACKUP_RESTORED';
  constructor(code: PartitionHaltedError['code'], partition: number, sequence: number, watermark: number) {
    const story =
      code === 'DATABASE_WENT_BACK'
        ? 'the database is behind Redis, as after the restore of an older backup of the database'
        : 'its batch is older than the journal, as after the restore of an old backup of Redis';
    super(
      `Partition ${partition} is halted: ${story} (batch ${sequence}, watermark ${watermark}). ` +
        'Nothing of it is written until an operator decides: "sluice recover" shows both sides; see docs/recovery.md.',
    );
    this.code = code;
  }
}

/** The producer's buffer is full, since Redis is slower than the callers. The update was not sent. */
export class ProducerOverloadedError extends SluiceError {
  readonly code = 'PRODUCER_OVERLOADED';
  override readonly retryable = true;
  constructor(limit: number) {
    super(
      `The producer holds ${limit} updates of one partition that Redis has not accepted yet; send more slowly, and repeat the call.`,
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

/** The update was not persisted before the timeout of `persisted()`; it still will be. */
export class PersistTimeoutError extends SluiceError {
  readonly code = 'PERSIST_TIMEOUT';
  override readonly retryable = true;
  /** @param heldFor why the table of the update cannot be written, if the update is held */
  constructor(timeoutMs: number, heldFor?: string) {
    super(
      heldFor === undefined
        ? `The update was not in the database after ${timeoutMs} ms; it is still pending: wait again, and check the workers.`
        : `The update was not in its table after ${timeoutMs} ms: the database holds it, since the table cannot be written now (${heldFor}). A worker writes it once the table can be written; wait again, or fix the table.`,
    );
  }
}

/** The partition's epoch changed during the wait: Redis lost updates, and this one may be among them. */
export class PersistenceUnknownError extends SluiceError {
  readonly code = 'PERSISTENCE_UNKNOWN';
  constructor() {
    super(
      'Redis lost acknowledged updates while this one was pending, so it may be lost; look it up in the database.',
    );
  }
}

/** MySQL refused the update; it waits in quarantine. */
export class QuarantinedError extends SluiceError {
  readonly code = 'QUARANTINED';
  constructor(name: string, errorCode: string) {
    super(
      `The database refused the update of ${name} (${errorCode}), which waits in quarantine; see sluice failed list.`,
    );
  }
}

/** An operator returned the transfer: its points went to another account than its destination. */
export class TransferReturnedError extends SluiceError {
  readonly code = 'RETURNED';
  constructor(program: string) {
    super(
      `A transfer of ${program} was returned by an operator, so its destination did not get the points; see sluice transfers.`,
    );
  }
}

/** The credit of a transfer was not in the database before the timeout of `credited()`; it still will be. */
export class CreditTimeoutError extends SluiceError {
  readonly code = 'CREDIT_TIMEOUT';
  override readonly retryable = true;
  constructor(timeoutMs: number) {
    super(
      `The credit of the transfer was not in the database after ${timeoutMs} ms; the transfer is still in transit, or aside for an operator: wait again, or see sluice transfers.`,
    );
  }
}

/** Live values keep changing during a read, or Sluice does not know yet which of them hold. */
export class ReadUnsettledError extends SluiceError {
  readonly code = 'READ_UNSETTLED';
  override readonly retryable = true;
  constructor(partition: number, reason: string) {
    super(
      `Partition ${partition} could not be read exactly (${reason}); repeat the call, and check the workers if this continues.`,
    );
  }
}

/** The definitions do not rank this counter or program. */
export class NotRankedError extends SluiceError {
  readonly code = 'NOT_RANKED';
  constructor(name: string) {
    super(
      `${shown(name)} has no ranks; add "ranked": true to its definition, and restart the workers with it.`,
    );
  }
}

/** There is no board of ranks yet: workers build it. */
export class RanksBuildingError extends SluiceError {
  readonly code = 'RANKS_BUILDING';
  override readonly retryable = true;
  constructor(name: string) {
    super(
      `The ranks of ${name} are being built; repeat the call later. If this continues, check that a worker runs with "ranked": true for it: "sluice rank ${name} --build" shows the progress.`,
    );
  }
}

/** An operation on failed updates cannot be resumed or shown. Nothing was changed. */
export class OperationError extends SluiceError {
  readonly code: 'UNKNOWN_OPERATION' | 'OPERATION_FINISHED';
  constructor(code: OperationError['code'], operation: number) {
    super(
      code === 'UNKNOWN_OPERATION'
        ? `There is no operation ${operation} of this kind; see sluice failed audit.`
        : `Operation ${operation} has finished; start a new one for the updates that are in quarantine now.`,
    );
    this.code = code;
  }
}
