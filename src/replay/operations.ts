/**
 * The audit record: operations with their operators, times and filters, and the outcome for each update or
 * transfer.
 */
import type { PoolConnection, ResultSetHeader } from 'mysql2/promise';
import { ConfigurationError, OperationError } from '../shared/errors.ts';
import { parseExact } from '../shared/exact-json.ts';
import { LIMITS } from '../shared/limits.ts';
import { recordedAddress } from '../shared/mysql/audit.ts';
import { type Database, type Rows, readSql } from '../shared/mysql/database.ts';
import { literalBytes, roomFor } from '../shared/mysql/statement-size.ts';
import { type FailedUpdate, recordItem, recordTransfers } from '../shared/updates/failed-update.ts';
import type { Change } from './amendment.ts';
import type { CheckedFilter } from './filter.ts';
import type { CheckedTransferFilter } from './transfer-filter.ts';
import type { TransitTransfer } from './transfers.ts';
import { numberLists } from './updates.ts';

export type Action = 'replay' | 'edit' | 'drop';
export type TransferAction = 'retry' | 'return';

/** A hold, by what names it. */
export interface NamedHold {
  readonly program: string;
  readonly account: string;
  readonly id: string;
}

export interface Operation {
  readonly operation: number;
  /** Other commands write `repair` and `recover`. */
  readonly action: Action | TransferAction | 'void' | 'repair' | 'recover';
  readonly operator: string;
  readonly reason: string | null;
  /** Where the request of the HTTP API or the console came from; null for commands. */
  readonly address: string | null;
  readonly filter: CheckedFilter;
  /** Ids of the failed flush jobs that the filter selected at the start. */
  readonly jobs: readonly string[];
  /** The change of an edit; null for other actions. */
  readonly change: Change | null;
  /** Most updates a second, which a resume keeps to; null without a limit. */
  readonly rate: number | null;
  /** Which transfers an operation on transfers changes, and the account that a return named, if any. */
  readonly transfers?: { readonly filter: CheckedTransferFilter; readonly to?: string | undefined };
  /** The hold that a `void` ends. */
  readonly hold?: NamedHold;
  /** Number of the newest quarantined update that it may change. */
  readonly lastId: number;
  /** ISO 8601. */
  readonly startedAt: string;
  /** ISO 8601; null while it runs or after it was interrupted. Then it can be resumed. */
  readonly finishedAt: string | null;
  /** Number of updates by outcome: `replayed`, `refused:CODE`, `already` and so on. */
  readonly outcomes: Readonly<Record<string, number>>;
}

/** Result of an operation for one update. */
export interface OperationItem {
  readonly operation: number;
  readonly id: number;
  readonly outcome: string;
  /** ISO 8601. */
  readonly doneAt: string;
  /** The update before the operation. */
  readonly original: FailedUpdate;
}

/** Result of an operation for one transfer. */
export interface TransferItem {
  readonly transfer: string;
  readonly outcome: string;
  /** ISO 8601. */
  readonly doneAt: string;
  /** The transfer before the operation. */
  readonly original: Omit<TransitTransfer, 'ageSeconds'>;
}

/** Operator and reason of an operation, up to 255 characters each. */
export interface Author {
  readonly operator: string;
  readonly reason?: string | undefined;
  /** Where the request came from; kept up to 64 characters. */
  readonly address?: string | undefined;
}

/** The newest quarantined update that the operation may change, if it is not the newest of all. */
type LastId = { readonly lastId: number | undefined };
/** Content of the column `filter`. */
type Recorded = Pick<Operation, 'filter' | 'jobs' | 'change' | 'rate' | 'transfers' | 'hold'>;

/** Which operations a list has. All criteria must hold. */
export interface OperationFilter {
  /** Numbers below this one. */
  readonly before?: number | undefined;
  readonly operator?: string | undefined;
  readonly action?: Operation['action'] | undefined;
}

const LIST =
  'SELECT * FROM sluice_operations WHERE (? IS NULL OR id < ?) AND (? IS NULL OR operator = ?) AND (? IS NULL OR action = ?) ORDER BY id DESC LIMIT ?';
const START = readSql(new URL('./sql/start-operation.sql', import.meta.url));
/** Outcomes after which the update is no longer in quarantine. */
export const DONE: ReadonlySet<string> = new Set(['replayed', 'dropped', 'edited', 'already']);

export class Operations {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** @throws ConfigurationError if the filter is too long for the record */
  async start(
    action: Action | TransferAction | 'void',
    { operator, reason, address }: Author,
    {
      filter = {},
      jobs = [],
      change = null,
      rate = null,
      transfers,
      hold,
      lastId,
    }: Partial<Recorded & LastId>,
  ): Promise<Operation> {
    const recorded: Recorded = {
      filter,
      jobs,
      change,
      rate,
      ...(transfers ? { transfers } : {}),
      ...(hold ? { hold } : {}),
    };
    const id = await this.#database.session(async connection => {
      if (literalBytes(JSON.stringify(recorded)) > roomFor(connection))
        throw new ConfigurationError(
          "The filter is too long to be recorded under the database's max_allowed_packet; name fewer updates, jobs or transfers at a time.",
        );
      const [result] = await connection.query<ResultSetHeader>(START, [
        action,
        operator,
        reason ?? null,
        recordedAddress(address),
        JSON.stringify(recorded),
        lastId ?? null,
      ]);
      return result.insertId;
    });
    return this.get(id);
  }

  /** @throws OperationError if there is none */
  async get(operation: number): Promise<Operation> {
    const [row] = await this.#database.query('SELECT * FROM sluice_operations WHERE id = ?', [operation]);
    if (!row) throw new OperationError('UNKNOWN_OPERATION', operation);
    return (await this.#withOutcomes([row]))[0]!;
  }

  /** The newest first. */
  async list(limit: number, { before, operator, action }: OperationFilter = {}): Promise<Operation[]> {
    const twice = (value: unknown) => [value ?? null, value ?? null];
    return this.#withOutcomes(
      await this.#database.query(LIST, [...twice(before), ...twice(operator), ...twice(action), limit]),
    );
  }

  /** Results of all operations for these updates, the oldest operation first. */
  async items(ids: readonly number[]): Promise<OperationItem[]> {
    const found: OperationItem[] = [];
    for (const some of numberLists(ids)) {
      const rows = await this.#database.query(
        'SELECT * FROM sluice_operation_items WHERE quarantine_id IN (?)',
        [some],
      );
      found.push(...toItems(rows));
    }
    return found.sort((a, b) => a.operation - b.operation || a.id - b.id);
  }

  /** Results of one operation, in the order of the updates' numbers. */
  async itemsOf(operation: number, after: number, limit: number): Promise<OperationItem[]> {
    return toItems(
      await this.#database.query(
        'SELECT * FROM sluice_operation_items WHERE operation_id = ? AND quarantine_id > ? ORDER BY quarantine_id LIMIT ?',
        [operation, after, limit],
      ),
    );
  }

  /** Records an outcome that changed nothing. It never replaces one that did. */
  async note(operation: number, update: FailedUpdate, outcome: string): Promise<void> {
    await this.#database.session(connection => recordItem(connection, operation, update, outcome, false));
  }

  /** Records what became of transfers, in the transaction that changed them. */
  async recordTransfers(
    connection: PoolConnection,
    operation: number,
    changed: readonly { readonly row: TransitTransfer; readonly outcome: string }[],
  ): Promise<void> {
    const records = changed.map(({ row: { ageSeconds: _, ...original }, outcome }) => {
      return { transfer: original.transfer, outcome, original: JSON.stringify(original) };
    });
    await recordTransfers(connection, operation, records);
  }

  /** Results of one operation on transfers, in the order of their names. */
  async transfersOf(operation: number, limit: number): Promise<TransferItem[]> {
    const rows = await this.#database.query(
      "SELECT * FROM sluice_operation_items WHERE operation_id = ? AND transfer <> '' ORDER BY transfer LIMIT ?",
      [operation, limit],
    );
    return rows.map(row => ({
      transfer: String(row.transfer),
      outcome: String(row.outcome),
      doneAt: (row.done_at as Date).toISOString(),
      original: JSON.parse(String(row.original)),
    }));
  }

  async finish(operation: number): Promise<void> {
    await this.#database.query(
      'UPDATE sluice_operations SET finished_at = COALESCE(finished_at, UTC_TIMESTAMP(3)) WHERE id = ?',
      [operation],
    );
  }

  async #withOutcomes(rows: Rows): Promise<Operation[]> {
    if (rows.length === 0) return [];
    const counts = await this.#database.query(
      'SELECT operation_id, outcome, COUNT(*) AS items FROM sluice_operation_items WHERE operation_id IN (?) GROUP BY operation_id, outcome ORDER BY outcome',
      [rows.map(row => row.id)],
    );
    return rows.map(row => {
      const mine = counts.filter(count => String(count.operation_id) === String(row.id));
      const outcomes = Object.fromEntries(mine.map(count => [String(count.outcome), Number(count.items)]));
      const recorded = parseExact(String(row.filter)) as Partial<Recorded>;
      return {
        operation: Number(row.id),
        action: row.action,
        operator: String(row.operator),
        reason: row.reason === null ? null : String(row.reason),
        address: row.address === null ? null : String(row.address),
        filter: recorded.filter ?? {},
        jobs: recorded.jobs ?? [],
        change: recorded.change ?? null,
        rate: recorded.rate ?? null,
        ...(recorded.transfers ? { transfers: recorded.transfers } : {}),
        ...(recorded.hold ? { hold: recorded.hold } : {}),
        lastId: Number(row.last_id),
        startedAt: (row.started_at as Date).toISOString(),
        finishedAt: row.finished_at === null ? null : (row.finished_at as Date).toISOString(),
        outcomes,
      };
    });
  }
}

function toItems(rows: Rows): OperationItem[] {
  return rows.map(row => ({
    operation: Number(row.operation_id),
    id: Number(row.quarantine_id),
    outcome: String(row.outcome),
    doneAt: (row.done_at as Date).toISOString(),
    original: parseExact(String(row.original)) as FailedUpdate,
  }));
}

/** @throws ConfigurationError */
export function checkAuthor({ operator, reason }: Author): void {
  for (const [what, value] of Object.entries({ operator, reason }))
    if (
      typeof value === 'string' &&
      (value === '' || value.length > LIMITS.operator || !value.isWellFormed())
    )
      throw new ConfigurationError(
        `The ${what} must have 1 to ${LIMITS.operator} characters, without a lone surrogate.`,
      );
}
