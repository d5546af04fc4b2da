/**
 * The parts of a key's value: what is in the database, in quarantine, in flight and pending, beside the live value. They
 * are exact, since one statement read the value with its watermark, and one script the rest; both only read. If a flush
 * came between the two, both are repeated a few times, and then the answer says that it is not settled. It never waits
 * for a lock, changes a live value or loads a cold one.
 */
import { isValueKind, itemOf, type ValueKind } from '../shared/item.ts';
import { queryRows, type Rows } from '../shared/mysql/database.ts';
import type { OpenServers } from '../shared/open-servers.ts';
import { toPosition } from '../shared/partition/watermark.ts';
import { answerInTime } from '../shared/redis/errors.ts';
import type { LiveKey } from '../shared/redis/live-keys.ts';
import { scriptFor } from '../shared/redis/script.ts';

/** Amounts as decimal texts are exact; of a kept value the put that is kept. */
interface Part {
  readonly amount: bigint;
  readonly updates: number;
}

export interface KeyParts {
  readonly partition: number;
  /** Null if the database has no value; of a sum 0 then. */
  readonly mysql: bigint | null;
  /** Null for a value of which none is in quarantine. */
  readonly quarantine: bigint | null;
  readonly inFlight: Part;
  readonly pending: Part;
  /** The text in Redis; undefined if the key is cold. */
  readonly live: string | undefined;
  /** Null if it is not known, or if the value was never put. */
  readonly expected: bigint | null;
  /** What the account should hold. */
  readonly held: bigint;
  /** Why nothing can be said now; undefined if all parts belong together. */
  readonly unsettled: string | undefined;
  readonly ttlSeconds: { readonly from: number; readonly to: number } | null;
}

type Reply = [
  fit: string,
  live: string,
  where: string,
  now: number,
  rotated: number,
  flight: string[],
  pending: string[],
];

const look = scriptFor<Reply | ['absent']>('look_up', new URL('./look-up.lua', import.meta.url));
const TRIES = 4;
const ANSWER_MS = 3000;
const WHY: Readonly<Record<string, string>> = {
  epoch: 'Redis and the database belong to different times of the partition; its next flush aligns them.',
  behind: 'A flush came between the reads, or Redis is behind the database.',
  ahead: 'A flush came between the reads, or the partition is halted.',
  doubtful:
    'The database may already have entries of this account that Redis still holds; their flush decides.',
  many: 'The account has too many entries in flight to add them up here; look again after the flush.',
  none: 'The database has no watermark of the partition; run `sluice migrate`.',
};

export async function keyParts(servers: OpenServers, key: LiveKey, liveTtlMs: number): Promise<KeyParts> {
  for (let attempt = 1; ; attempt++) {
    const found = await readOnce(servers, key, liveTtlMs);
    if (found.unsettled === undefined || attempt === TRIES) return found;
  }
}

async function readOnce(
  { redis, address, database, keys, tables }: OpenServers,
  key: LiveKey,
  liveTtlMs: number,
): Promise<KeyParts> {
  const { kind, name } = key;
  const partition = keys.partitionOf(key.key);
  const table = tables.of(kind, name);
  await table.ready(database);
  const [row] = await database
    .session(connection =>
      queryRows(connection, table.read, [JSON.stringify([table.readRow(key)]), partition]),
    )
    .catch(error => {
      throw table.explained(error, database);
    });
  const { epoch, sequence, token } = row ? toPosition(row) : { epoch: '', sequence: 0, token: '' };
  const item = itemOf(name, key.key);
  const answer = look(redis)(keys.state(partition), epoch, sequence, token, keys.owner, kind, item);
  const reply = await answerInTime(answer, ANSWER_MS, address);
  return together(kind, partition, row, reply, liveTtlMs);
}

function together(
  kind: LiveKey['kind'],
  partition: number,
  row: Rows[number] | undefined,
  reply: Reply | ['absent'],
  liveTtlMs: number,
): KeyParts {
  // Without a state, Redis has nothing of the partition.
  const [fit, shown, where, now, rotated, flight, pending]: Reply =
    reply.length === 1 ? ['ok', '-', '', 0, 0, [], []] : reply;
  const live = shown === '-' ? undefined : shown.slice(1);
  const unsettled = row ? (fit === 'ok' ? undefined : (WHY[fit] ?? fit)) : WHY.none;
  const sums = isValueKind(kind) ? keptParts(kind, row, flight, pending) : summedParts(row, flight, pending);
  return {
    partition,
    ...sums,
    expected: unsettled === undefined ? sums.expected : null,
    live,
    unsettled,
    ttlSeconds: live === undefined ? null : ttl({ isOld: where === 'old', now, rotated, liveTtlMs }),
  };
}

type Sums = Pick<KeyParts, 'mysql' | 'quarantine' | 'inFlight' | 'pending' | 'expected' | 'held'>;

function summedParts(
  row: Rows[number] | undefined,
  flight: readonly string[],
  pending: readonly string[],
): Sums {
  const mysql = row && row.value !== null ? BigInt(row.value) : null;
  const quarantine = row ? BigInt(row.quarantined) : 0n;
  const parts = { inFlight: sumOf(flight), pending: sumOf(pending) };
  const held = BigInt(row?.held ?? 0) + parts.inFlight.held + parts.pending.held;
  return {
    mysql,
    quarantine,
    ...parts,
    expected: mysql === null ? null : mysql + quarantine + parts.inFlight.amount + parts.pending.amount,
    // After a loss, ends may be pending whose hold is nowhere.
    held: held < 0n ? 0n : held,
  };
}

function sumOf(texts: readonly string[]): Part & { readonly held: bigint } {
  let [amount, held, updates] = [0n, 0n, 0];
  for (const text of texts) {
    const [, one, heldOne = '0', count] = /^(-?\d+)\/?(-?\d+)? (\d+)$/.exec(text)!;
    amount += BigInt(one!);
    held += BigInt(heldOne);
    updates += Number(count);
  }
  return { amount, held, updates };
}

interface Put {
  readonly value: bigint;
  readonly version: bigint;
}

function keptParts(
  kind: ValueKind,
  row: Rows[number] | undefined,
  flight: readonly string[],
  pending: readonly string[],
): Sums {
  const stored =
    row && row.value !== null ? { value: BigInt(row.value), version: BigInt(row.version ?? 0) } : undefined;
  const waiting = row && row.quarantined !== null ? putOf(String(row.quarantined)) : undefined;
  const [inFlight, next] = [puts(kind, flight), puts(kind, pending)];
  const kept = [stored, waiting, inFlight.put, next.put].reduce((one, other) => keptPut(kind, one, other));
  return {
    mysql: stored?.value ?? null,
    quarantine: waiting?.value ?? null,
    inFlight: { amount: inFlight.put?.value ?? 0n, updates: inFlight.updates },
    pending: { amount: next.put?.value ?? 0n, updates: next.updates },
    expected: kept?.value ?? null,
    held: 0n,
  };
}

function puts(kind: ValueKind, texts: readonly string[]): { put: Put | undefined; updates: number } {
  let [put, updates]: [Put | undefined, number] = [undefined, 0];
  for (const text of texts) {
    const [one, count] = text.split(' ');
    put = keptPut(kind, put, putOf(one!));
    updates += Number(count);
  }
  return { put, updates };
}

function putOf(text: string): Put {
  const [value, version = '0'] = text.split('@');
  return { value: BigInt(value!), version: BigInt(version) };
}

/** The rule of kept-value.ts, with numbers of any size. */
function keptPut(kind: ValueKind, one: Put | undefined, other: Put | undefined): Put | undefined {
  if (!one || !other) return one ?? other;
  if (kind === '=' && one.version !== other.version) return other.version > one.version ? other : one;
  const replaces = kind === '<' ? other.value < one.value : other.value > one.value;
  return replaces ? other : one;
}

/** The number of a live value, and what is held; null if it is none. */
export function readLiveText(
  kind: LiveKey['kind'],
  text: string,
): { readonly value: bigint; readonly held: bigint } | null {
  if (isValueKind(kind)) return /^-?\d+(@\d+)?$/.test(text) ? { value: putOf(text).value, held: 0n } : null;
  if (!(kind === 'p' ? /^-?\d+(\/\d+)?$/ : /^-?\d+$/).test(text)) return null;
  const [value, held = '0'] = text.split('/');
  return { value: BigInt(value!), held: BigInt(held) };
}

interface Rotated {
  readonly isOld: boolean;
  readonly now: number;
  /** 0 if none was yet. */
  readonly rotated: number;
  readonly liveTtlMs: number;
}

/** A value ends with the second rotation after its last use, if workers rotate when it is time. */
function ttl({ isOld, now, rotated, liveTtlMs }: Rotated): { from: number; to: number } {
  const left = (rotations: number) => Math.max(0, Math.round((rotated + rotations * liveTtlMs - now) / 1000));
  const whole = liveTtlMs / 1000;
  // Nobody can say when the first rotation comes.
  if (rotated === 0 || rotated > now)
    return { from: isOld ? 0 : Math.floor(whole), to: Math.ceil(2 * whole) };
  // A use now would move it to the young ones, so this is how long it stays without one.
  return isOld ? { from: left(1), to: left(1) } : { from: left(2), to: left(2) };
}
