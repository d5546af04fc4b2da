/**
 * Compares holds: each acknowledged hold has its row with its amount, and ended at most once, in a way that somebody asked
 * for or because it was past its time. A post has one entry, no other hold has one, and nobody spent what was held.
 */
import { endId, holdOf } from '../../src/shared/updates/hold.ts';
import type { HeldEntry, HeldPoints, Holdings } from './holdings.ts';
import { type JournalledUpdate, knownOf } from './journal.ts';
import { definitions } from './traffic.ts';
import type { WrongValue } from './values.ts';

/** What is wrong with holds. */
interface WrongHolds {
  /** Acknowledged updates that are missing, and rows or ends that nobody asked for: a declared loss may excuse them. */
  readonly differences: readonly WrongValue[];
  /** What no loss excuses. */
  readonly problems: readonly string[];
}

export function isOfHold(update: Pick<JournalledUpdate, 'kind'>): boolean {
  return update.kind === 'hold' || update.kind === 'post' || update.kind === 'void';
}

/** Whether an entry is the post of a hold, which no update of the journal has the id of. */
export function isPost({ id }: Pick<HeldEntry, 'id'>): boolean {
  return holdOf(id) !== undefined;
}

/**
 * @param asked updates of holds: holds, posts and voids
 * @param refused as in `Decisions`
 * @param hasLost whether Sluice declared any loss that an account may be affected by
 */
export function compareHolds(
  asked: readonly JournalledUpdate[],
  holdings: Holdings,
  refused: ReadonlySet<string>,
  hasLost: (account: string) => boolean,
): WrongHolds {
  const byHold = Map.groupBy(asked, ({ name, key, id }) => `${name} ${key} ${id}`);
  const rows = new Map(holdings.holds.map(row => [`${row.program} ${row.account} ${row.id}`, row]));
  const differences: WrongValue[] = [];
  const problems = [...wrongPosts(rows, holdings.entries)];
  for (const hold of new Set([...byHold.keys(), ...rows.keys()])) {
    const [, key] = hold.split(' ') as [string, string];
    const [updates, row] = [byHold.get(hold) ?? [], rows.get(hold)];
    const about = `hold ${hold}`;
    if (row)
      for (const what of surplus(row, updates))
        differences.push({ kind: 'doubled', key, what: `${about} ${what}` });
    for (const update of updates) {
      if (knownOf(update) !== 'acknowledged') continue;
      const agrees = row !== undefined && isIn(update, row);
      if (!agrees) differences.push({ kind: 'lost', key, what: `${about}: ${missing(update, row)}` });
      if (agrees && refusals.has(update.receiptFailure) && !hasLost(key))
        problems.push(
          `${about}: persisted() of its ${update.kind} failed with ${update.receiptFailure}, and MySQL has it`,
        );
    }
    if (row) problems.push(...wrongTimes(row, updates, hasLost(key)).map(what => `${about} ${what}`));
  }
  const isExcused = (name: string, program: string, account: string) =>
    refused.has(name) || refused.has(program) || hasLost(account);
  problems.push(...overspent(holdings, isExcused));
  return { differences, problems };
}

/** What a receipt says if MySQL has another hold or another end; over HTTP both are `superseded`. */
const refusals = new Set(['HOLD_ENDED', 'IDEMPOTENCY_KEY_REUSED', 'SUPERSEDED']);

/** Whether the row says what the update asked for. */
function isIn({ kind, amount }: JournalledUpdate, row: HeldPoints): boolean {
  if (kind === 'hold') return amount === row.amount;
  if (kind === 'void') return row.status === 'voided';
  return row.status === 'posted' && row.posted === (amount === 0 ? row.amount : amount);
}

function missing({ kind, amount, persisted }: JournalledUpdate, row: HeldPoints | undefined): string {
  const receipt = persisted ? ', although persisted() had resolved' : '';
  const found = row ? `${row.amount}, ${row.status}, ${row.posted} posted` : 'nothing';
  const all = kind === 'post' && amount === 0;
  return `its ${kind} of ${all ? 'all' : amount} was acknowledged, the database has ${found}${receipt}`;
}

/** What the row has and nobody asked for. */
function surplus(row: HeldPoints, updates: readonly JournalledUpdate[]): string[] {
  const possible = updates.filter(update => knownOf(update) !== 'refused' && isIn(update, row));
  const wrong: string[] = [];
  if (!possible.some(({ kind }) => kind === 'hold')) wrong.push(`of ${row.amount} was not asked for`);
  const end = row.status === 'posted' ? 'post' : row.status === 'voided' ? 'void' : undefined;
  if (end && !possible.some(({ kind }) => kind === end))
    wrong.push(`is ${row.status} with ${row.posted} and that was not asked for`);
  return wrong;
}

/** @param hasLost Redis may have forgotten a hold and taken it again, to expire later than the row says */
function wrongTimes(row: HeldPoints, updates: readonly JournalledUpdate[], hasLost: boolean): string[] {
  const { status, expiresAt, createdAt, endedAt, amount, posted } = row;
  const wrong: string[] = [];
  if ((status === 'open') !== (endedAt === null)) wrong.push(`is ${status} and ended at ${endedAt}`);
  if (status === 'expired' && (expiresAt === null || endedAt! < expiresAt))
    wrong.push(`expired at ${endedAt}, before its time ${expiresAt}`);
  if (!hasLost && status !== 'expired' && endedAt !== null && expiresAt !== null && endedAt >= expiresAt)
    wrong.push(`is ${status} since ${endedAt}, after its time ${expiresAt}`);
  if (status === 'open' && expiresAt !== null) wrong.push(`has not expired, its time was ${expiresAt}`);
  const lasts = expiresAt === null ? 0 : expiresAt - createdAt;
  if (!updates.some(({ kind, expiresInMs }) => kind === 'hold' && expiresInMs === lasts))
    wrong.push(`expires after ${lasts} ms, which nobody asked for`);
  if (posted < 0 || posted > amount || posted > 0 !== (status === 'posted'))
    wrong.push(`of ${amount} is ${status} with ${posted} posted`);
  return wrong;
}

/** Each posted hold has one entry of its amount, in the ledger or in quarantine, and no other hold has one. */
function wrongPosts(rows: ReadonlyMap<string, HeldPoints>, entries: readonly HeldEntry[]): string[] {
  const posts = Map.groupBy(
    entries.filter(isPost),
    ({ program, account, id }) => `${program} ${account} ${id}`,
  );
  const wrong: string[] = [];
  for (const [hold, { program, account, id, status, posted }] of rows) {
    const name = `${program} ${account} ${endId(id)}`;
    const amounts = (posts.get(name) ?? []).map(({ amount }) => amount);
    posts.delete(name);
    const expected = status === 'posted' ? [-posted] : [];
    if (amounts.join() !== expected.join())
      wrong.push(`hold ${hold} is ${status} with ${posted} posted, its entries are [${amounts.join()}]`);
  }
  for (const [{ program, account, id }] of posts.values() as Iterable<[HeldEntry]>)
    wrong.push(`an entry of ${program} ${account} is the post of hold ${holdOf(id)}, which has no row`);
  return wrong;
}

/** What each account holds, by `program account`. */
export function heldPoints(rows: readonly HeldPoints[]): Map<string, number> {
  const held = new Map<string, number>();
  for (const { program, account, amount, status } of rows) {
    const name = `${program} ${account}`;
    held.set(name, (held.get(name) ?? 0) + (status === 'open' ? amount : 0));
  }
  return held;
}

function overspent(
  { balances, entries, holds }: Holdings,
  isExcused: (name: string, program: string, account: string) => boolean,
): string[] {
  const wrong: string[] = [];
  for (const [name, held] of heldPoints(holds)) {
    const [program, account] = name.split(' ') as [keyof typeof definitions.points, string];
    if (held === 0 || isExcused(name, program, account)) continue;
    const waiting = entries
      .filter(entry => entry.balanceAfter === undefined && `${entry.program} ${entry.account}` === name)
      .reduce((sum, { amount }) => sum + amount, 0);
    const [balance, { floor }] = [(balances.get(name) ?? 0) + waiting, definitions.points[program]];
    if (balance - held < floor)
      wrong.push(`${name} has ${balance} and holds ${held}, above its floor of ${floor}`);
  }
  return wrong;
}
