/** Reads what both servers know of one id of an account, in bounded time. */
import { itemOf } from '../shared/item.ts';
import type { Database, Rows } from '../shared/mysql/database.ts';
import type { OpenServers } from '../shared/open-servers.ts';
import { answerInTime } from '../shared/redis/errors.ts';
import { scriptFor } from '../shared/redis/script.ts';
import { entryDigest } from '../shared/updates/failed-update.ts';
import { endId, heldId } from '../shared/updates/hold.ts';
import { isEntry, parseRecord, type RecordedEntry } from '../shared/updates/record.ts';

/** An entry, by what names it. */
export interface Wanted {
  readonly program: string;
  readonly account: string;
  readonly id: string;
}

type Found = (number | string)[];
type Reply = ['absent'] | [number, string, number, number, number, number, Found];

export interface PendingEntry {
  /** What it is: an entry with the id, or the begin or end of a hold with it. */
  readonly what: 'entry' | 'held' | 'ended';
  readonly isClaimed: boolean;
  readonly entry: RecordedEntry;
}

export interface Pending {
  /** Number of the batch claimed last. */
  readonly sequence: number;
  readonly found: readonly PendingEntry[];
  /** Whether the account has more pending entries than were looked at. */
  readonly isCut: boolean;
  /** Whether Redis remembers the id. */
  readonly isKnown: boolean;
  readonly isKnownHold: boolean;
}

/** Pending entries of an account that are looked at. */
export const LOOKED_AT = 2000;
const ANSWER_MS = 3000;
const NOTHING: Pending = { sequence: 0, found: [], isCut: false, isKnown: false, isKnownHold: false };
const KINDS = ['entry', 'held', 'ended'] as const;

const trace = scriptFor<Reply>('trace', new URL('./trace.lua', import.meta.url));

/** @throws RedisUnavailableError, or what ioredis throws */
export async function readPending(
  { redis, address, keys }: OpenServers,
  partition: number,
  { program, account, id }: Wanted,
): Promise<Pending> {
  const starts = [id, heldId(id), endId(id)].map(
    one => `${JSON.stringify([program, account, one]).slice(0, -1)},`,
  );
  const item = itemOf(program, account);
  const asked = trace(redis)(keys.state(partition), keys.owner, item, id, LOOKED_AT, ...starts);
  const reply = await answerInTime(asked, ANSWER_MS, address);
  if (reply.length === 1) return NOTHING;
  const [sequence, , isCut, isKnown, isHeld, isEnded, records] = reply;
  const found: PendingEntry[] = [];
  for (let at = 0; at < records.length; at += 3) {
    const entry = parseRecord(String(records[at + 2]));
    const what = KINDS[Number(records[at])]!;
    if (isEntry(entry)) found.push({ what, isClaimed: records[at + 1] === 1, entry });
  }
  return {
    ...{ sequence, found, isCut: isCut === 1 },
    ...{ isKnown: isKnown === 1, isKnownHold: isHeld === 1 || isEnded === 1 },
  };
}

export interface Known {
  /** The entry in the ledger, with `committed_at` of its batch as long as the journal has it. */
  readonly entry: Rows[number] | undefined;
  /** Its row in quarantine. */
  readonly quarantine: Rows[number] | undefined;
  /** What operations did to it, the oldest first, with `action`, `operator` and `operation_reason`. */
  readonly items: Rows;
  /** The row of the transfer that waits for its credit. */
  readonly transfer: Rows[number] | undefined;
  /** The other entry of its transfer. */
  readonly partner: Rows[number] | undefined;
  readonly hold: Rows[number] | undefined;
}

/** Operations on one entry that are shown. */
const ITEMS = 20;
const ENTRY = `SELECT e.*, b.committed_at FROM sluice_entries e
  LEFT JOIN sluice_batches b ON b.partition_id = e.partition_id AND b.sequence = e.ledger_no DIV 65536
  WHERE e.entry_id = ? AND e.account = ? AND e.program = ?`;
const QUARANTINED =
  "SELECT * FROM sluice_quarantine WHERE kind = 'entry' AND name = ? AND item_key = ? AND entry_id = ? ORDER BY id DESC LIMIT 1";
const ITEMS_OF = `SELECT i.*, o.action, o.operator, o.reason AS operation_reason
  FROM sluice_operation_items i JOIN sluice_operations o ON o.id = i.operation_id
  WHERE i.entry = ? ORDER BY i.operation_id DESC LIMIT ${ITEMS}`;
const TRANSFER = 'SELECT * FROM sluice_transfers WHERE transfer = ?';
const PARTNER =
  'SELECT account, amount, created_at FROM sluice_entries WHERE transfer = ? AND entry_id <> ? LIMIT 1';
const HOLD = 'SELECT * FROM sluice_holds WHERE program = ? AND account = ? AND hold_id = ?';

/** @throws what mysql2 throws */
export async function readLedger(database: Database, { program, account, id }: Wanted): Promise<Known> {
  const [name, key, entryId] = [program, account, id].map(text => Buffer.from(text)) as [
    Buffer,
    Buffer,
    Buffer,
  ];
  const [[entry], [quarantine], items, [hold]] = await Promise.all([
    database.query(ENTRY, [entryId, key, name]),
    database.query(QUARANTINED, [name, key, entryId]),
    database.query(ITEMS_OF, [entryDigest(program, account, id)]),
    // A longer text is no id of a hold.
    database.query(HOLD, [name, key, entryId]),
  ]);
  const named = entry?.transfer ?? null;
  const [[transfer], [partner]] =
    named === null
      ? [[], []]
      : await Promise.all([database.query(TRANSFER, [named]), database.query(PARTNER, [named, entryId])]);
  return { entry, quarantine, items: items.reverse(), transfer, partner, hold };
}
