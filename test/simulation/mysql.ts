/**
 * MySQL as one partition sees it: rows, the lock on the watermark, transactions under READ COMMITTED. Writes
 * stay in a transaction's draft until the commit, invisible to others; a lost connection discards them.
 */
import type { Watermark } from '../../src/shared/partition/watermark.ts';
import type { Entry } from './redis.ts';
import { LOCK_WAIT, LOST_MYSQL, limits, MOST_UPDATES, REFUSED, type World } from './world.ts';

export interface LedgerRow {
  readonly item: string;
  readonly id: string;
  readonly amount: number;
  readonly balanceAfter: number;
}

export interface Refused {
  readonly item: string;
  /** The entry's id; undefined for a counter. */
  readonly id: string | undefined;
  readonly sequence: number;
  readonly amount: number;
  readonly uids: readonly number[];
}

/** A row of `sluice_quarantine`. */
export interface QuarantineRow extends Refused {
  readonly row: number;
  /** The operation that has taken the row. */
  readonly operation: number | undefined;
}

export interface Outcome {
  readonly late: readonly { item: string; amount: number }[];
  readonly quarantined: number;
  /** Entries that were left out because their id is in quarantine. */
  readonly quarantinedBefore: number;
}

interface JournalRow {
  readonly popped: number;
  readonly sequence: number;
  readonly committedAt: number;
  readonly outcome: Outcome;
}

/** A row of `sluice_operations` from a recovery. */
interface Operation {
  readonly id: number;
  readonly filter: string;
  readonly finished: boolean;
}

export interface Mysql {
  readonly values: Map<string, number>;
  readonly ledger: LedgerRow[];
  /** Unique key: item and id. */
  readonly ledgerIds: Set<string>;
  /** Quarantined rows, and their sums by item. */
  readonly refused: QuarantineRow[];
  readonly aside: Map<string, number>;
  watermark: Watermark;
  updatedAt: number;
  /** `sluice_losses`: updates by kind and cause. */
  readonly losses: Map<string, number>;
  readonly operations: Map<number, Operation>;
  readonly journal: Map<string, JournalRow>;
  /** For the checker: tokens of all committed batches, also of those that the journal has forgotten. */
  readonly committed: Set<string>;
  /** Changes with each restore, which ends every session. */
  run: number;
  /** Session with the exclusive lock on the watermark's row; `sharers` have a shared one. */
  holder: Session | undefined;
  readonly sharers: Set<Session>;
  /** For the checker: how often each update is in values, in quarantine, left out as late, or dropped. */
  readonly written: Uint8Array;
  readonly quarantined: Uint8Array;
  readonly leftOut: Uint8Array;
  readonly dropped: Uint8Array;
  /** Number of rows that were ever in quarantine. */
  rows: number;
}

interface Draft {
  values: Map<string, number>;
  ledger: LedgerRow[];
  aside: Refused[];
  /** Quarantined rows that it has locked, and those that it deletes. */
  locked: Set<number>;
  out: { row: number; dropped: boolean }[];
  late: number[];
  written: number[];
  journal: { token: string; row: JournalRow } | undefined;
  watermark: Watermark | undefined;
  losses: Map<string, number>;
  operation: Operation | undefined;
}

export interface Session {
  readonly run: number;
  readonly owner: string;
  open: boolean;
  draft: Draft | undefined;
  lastUsed: number;
  waitingSince: number | undefined;
}

export const BLOCKED = Symbol('waits for a row lock');

export function openMysql(): Mysql {
  return {
    values: new Map(),
    ledger: [],
    ledgerIds: new Set(),
    refused: [],
    aside: new Map(),
    watermark: { sequence: 0, token: '', epoch: 'migrated', updates: 0 },
    updatedAt: 0,
    losses: new Map(),
    operations: new Map(),
    journal: new Map(),
    committed: new Set(),
    run: 1,
    holder: undefined,
    sharers: new Set(),
    written: new Uint8Array(MOST_UPDATES),
    quarantined: new Uint8Array(MOST_UPDATES),
    leftOut: new Uint8Array(MOST_UPDATES),
    dropped: new Uint8Array(MOST_UPDATES),
    rows: 0,
  };
}

export function openSession(world: World, owner: string): Session {
  return {
    owner,
    run: world.mysql.run,
    open: true,
    draft: undefined,
    lastUsed: world.now,
    waitingSince: undefined,
  };
}

/** The server notices a lost connection: it rolls back and releases the locks. */
export function closeSession(mysql: Mysql, session: Session): void {
  session.open = false;
  rollback(mysql, session);
}

export function rollback(mysql: Mysql, session: Session): void {
  session.draft = undefined;
  if (mysql.holder === session) mysql.holder = undefined;
  mysql.sharers.delete(session);
}

/** The session's `wait_timeout`: the server closes an idle session, which releases its locks. */
function expire(world: World, session: Session | undefined): void {
  if (session?.open && world.now - session.lastUsed > limits.idleTransactionMs)
    closeSession(world.mysql, session);
}

/** Every statement begins with this. */
export function use(world: World, session: Session): Draft {
  expire(world, session);
  if (session.run !== world.mysql.run) closeSession(world.mysql, session);
  if (!session.open) throw LOST_MYSQL;
  session.lastUsed = world.now;
  session.draft ??= {
    values: new Map(),
    ledger: [],
    aside: [],
    locked: new Set(),
    out: [],
    late: [],
    written: [],
    journal: undefined,
    watermark: undefined,
    losses: new Map(),
    operation: undefined,
  };
  return session.draft;
}

/** `declareLoss`: if the cause is declared already, the larger figure stays. */
export function declareLoss(
  world: World,
  session: Session,
  kind: 'lost' | 'doubled',
  cause: string,
  updates: number,
): void {
  if (updates <= 0) return;
  const { losses } = use(world, session);
  const name = `${kind} ${cause}`;
  losses.set(name, Math.max(updates, losses.get(name) ?? world.mysql.losses.get(name) ?? 0));
}

/** All declared updates of a kind. */
export function declaredOf({ losses }: Mysql, kind: 'lost' | 'doubled'): number {
  let sum = 0;
  for (const [name, updates] of losses) if (name.startsWith(kind)) sum += updates;
  return sum;
}

/** `SELECT ... FOR UPDATE` (or a share lock) on the watermark's row. */
export function lockWatermark(
  world: World,
  session: Session,
  mode: 'update' | 'share',
): Watermark | typeof BLOCKED {
  const { mysql } = world;
  use(world, session);
  expire(world, mysql.holder);
  for (const sharer of mysql.sharers) expire(world, sharer);
  const others = mysql.sharers.size - (mysql.sharers.has(session) ? 1 : 0);
  const free = (mysql.holder === undefined || mysql.holder === session) && (mode === 'share' || others === 0);
  if (!free) {
    session.waitingSince ??= world.now;
    if (world.now - session.waitingSince <= limits.lockWaitMs) return BLOCKED;
    session.waitingSince = undefined;
    throw LOCK_WAIT;
  }
  session.waitingSince = undefined;
  if (mode === 'share') mysql.sharers.add(session);
  else mysql.holder = session;
  return mysql.watermark;
}

/** What MySQL refuses: a constraint on a counter's row, a trigger on an entry. */
export const BAD_COUNTER = 'views:bad';
export const BAD_AMOUNT = 7;

export function addCounters(
  world: World,
  session: Session,
  sums: readonly { item: string; sum: number; uids: readonly number[] }[],
): void {
  const draft = use(world, session);
  if (sums.some(({ item }) => item === BAD_COUNTER)) throw REFUSED;
  for (const { item, sum, uids } of sums) {
    draft.values.set(item, (draft.values.get(item) ?? world.mysql.values.get(item) ?? 0) + sum);
    draft.written.push(...uids);
  }
}

/** Adds balances, then ledger rows, which their unique key or a trigger may refuse: all or nothing. */
export function addEntries(
  world: World,
  session: Session,
  entries: readonly Entry[],
  duplicate: unknown,
): void {
  const draft = use(world, session);
  const { mysql } = world;
  for (const { item, id, amount } of entries) {
    if (mysql.ledgerIds.has(`${item} ${id}`)) throw duplicate;
    if (Math.abs(amount) === BAD_AMOUNT && (amount > 0 || world.amending) && world.refusing) throw REFUSED;
  }
  for (const { item, id, amount, uid } of entries) {
    const balanceAfter = (draft.values.get(item) ?? mysql.values.get(item) ?? 0) + amount;
    draft.values.set(item, balanceAfter);
    draft.ledger.push({ item, id, amount, balanceAfter });
    draft.written.push(uid);
  }
}

export function putAside(world: World, session: Session, refused: Refused): void {
  use(world, session).aside.push(refused);
}

/** `SELECT ... FOR UPDATE` of a quarantined row, under the watermark's lock. */
export function lockRow(world: World, session: Session, row: number): QuarantineRow | undefined {
  use(world, session).locked.add(row);
  return world.mysql.refused.find(one => one.row === row);
}

/** One statement: the operation takes the row unless another has it. Returns whether it has the row. */
export function takeRow(
  world: World,
  session: Session,
  row: number,
  operation: number,
): boolean | typeof BLOCKED {
  const { mysql, bugs } = world;
  use(world, session);
  expire(world, mysql.holder);
  if (mysql.holder !== session && mysql.holder?.draft?.locked.has(row)) return BLOCKED;
  const at = mysql.refused.findIndex(one => one.row === row);
  if (at < 0) return false;
  if (bugs.noTake) return true;
  const found = mysql.refused[at]!;
  if (found.operation !== undefined && found.operation !== operation) return false;
  mysql.refused[at] = { ...found, operation };
  return true;
}

function takeOut(mysql: Mysql, row: number, dropped: boolean): void {
  const at = mysql.refused.findIndex(one => one.row === row);
  const [found] = mysql.refused.splice(at, 1);
  mysql.aside.set(found!.item, mysql.aside.get(found!.item)! - found!.amount);
  for (const uid of found!.uids) {
    mysql.quarantined[uid]!--;
    if (dropped) mysql.dropped[uid]!++;
  }
}

export function commit(world: World, session: Session): void {
  const draft = use(world, session);
  const { mysql, checker } = world;
  for (const [item, value] of draft.values) mysql.values.set(item, value);
  for (const row of draft.ledger) {
    checker.onLedgerRow(world, row);
    mysql.ledger.push(row);
    mysql.ledgerIds.add(`${row.item} ${row.id}`);
  }
  for (const { row, dropped } of draft.out) takeOut(mysql, row, dropped);
  for (const refused of draft.aside) {
    mysql.refused.push({ ...refused, row: ++mysql.rows, operation: undefined });
    mysql.aside.set(refused.item, (mysql.aside.get(refused.item) ?? 0) + refused.amount);
    for (const uid of refused.uids) mysql.quarantined[uid]!++;
  }
  for (const uid of draft.written) mysql.written[uid]!++;
  for (const uid of draft.late) mysql.leftOut[uid]!++;
  if (draft.journal) {
    const { token, row } = draft.journal;
    checker.onBatch(row.sequence);
    mysql.journal.set(token, row);
    mysql.committed.add(token);
    for (const [of, { sequence }] of mysql.journal)
      if (sequence <= row.sequence - world.journalBatches) mysql.journal.delete(of);
  }
  if (draft.watermark) {
    mysql.watermark = draft.watermark;
    mysql.updatedAt = world.now;
  }
  for (const [name, updates] of draft.losses) mysql.losses.set(name, updates);
  if (draft.operation) {
    mysql.operations.set(draft.operation.id, draft.operation);
    if (draft.operation.finished) checker.restores.recovered = true;
  }
  rollback(mysql, session);
}

/** A copy of everything that a backup keeps. */
export function copyMysql(mysql: Mysql): Mysql {
  return {
    ...mysql,
    values: new Map(mysql.values),
    ledger: mysql.ledger.slice(),
    ledgerIds: new Set(mysql.ledgerIds),
    refused: mysql.refused.slice(),
    aside: new Map(mysql.aside),
    losses: new Map(mysql.losses),
    operations: new Map(mysql.operations),
    journal: new Map(mysql.journal),
    committed: new Set(mysql.committed),
    holder: undefined,
    sharers: new Set(),
    written: mysql.written.slice(),
    quarantined: mysql.quarantined.slice(),
    leftOut: mysql.leftOut.slice(),
    dropped: mysql.dropped.slice(),
  };
}
