/**
 * A pending entry's record in Redis, as apply.lua writes it:
 * `time previous amount balance length:item payload`. An amendment is a record too: it drops or edits a
 * quarantined update, and the flush carries it out.
 */
import { readBalance } from '../balance.ts';
import { parseExact } from '../exact-json.ts';
import { isValueKind, type Kind, splitItem } from '../item.ts';
import { holdOf, type RecordedHold, readHeld } from './hold.ts';

/** The caller's part of an entry. */
export interface EntryContent {
  readonly program: string;
  readonly account: string;
  readonly id: string;
  readonly amount: number;
  readonly reason: string | null;
  /** Text of `metadataText`. Nothing parses it on its way, since that would round numbers. */
  readonly metadata: string | null;
  /** Only of an entry of a transfer: the other account. A debit names the destination, a credit the source. */
  readonly other?: string | undefined;
}

/**
 * Begins the ids that Sluice makes. Ids of callers must not begin with it. The id of a transfer's credit goes on
 * with the transfer's name, that of an opening with another NUL and the name of its backfill, those of holds as
 * hold.ts says.
 */
const RESERVED = '\0';
const OPENING = `${RESERVED}\0`;

/** Whether only Sluice itself may use the id. */
export function isReservedId(id: string): boolean {
  return id.startsWith(RESERVED);
}

/** The id of all openings of a backfill, each in its own account or counter key. */
export function openingId(run: string): string {
  return OPENING + run;
}

/** The id of a transfer's credit, in Redis and in the ledger. */
export function creditId(transfer: string): string {
  return RESERVED + transfer;
}

/** The transfer that an entry is the credit of; undefined for any other entry. */
export function creditedBy({ id }: Pick<EntryContent, 'id'>): string | undefined {
  if (!isReservedId(id) || id.startsWith(OPENING) || holdOf(id) !== undefined) return undefined;
  return id.slice(RESERVED.length);
}

/** Whether an entry is the credit of a transfer. */
export function isCredit(entry: Pick<EntryContent, 'id'>): boolean {
  return creditedBy(entry) !== undefined;
}

export interface RecordedEntry extends EntryContent {
  /** `program:account` */
  readonly item: string;
  /** The balance that Redis answered. The one in MySQL may differ after corrections. */
  readonly balance: number;
  /** Ms of Redis' clock. */
  readonly acceptedAt: number;
  /** The entry as JSON, as the producer sent it. Of a post, with the amount that was posted. */
  readonly payload: string;
  /** Only of an entry that begins or ends a hold. */
  readonly hold?: RecordedHold | undefined;
}

/** The payload of an amendment's record. */
export type AmendmentContent = {
  /** Number of the quarantined update. */
  readonly quarantine: number;
  /** Number of the operation in sluice_operations. */
  readonly operation: number;
} & (
  | { readonly amendment: 'drop' }
  /** `payload` is the whole entry with its new amount. */
  | { readonly amendment: 'edit'; readonly to: { readonly amount: number; readonly payload?: string } }
);

export interface Amendment {
  readonly kind: Kind;
  readonly name: string;
  readonly key: string;
  readonly item: string;
  /** Amount that it added to the live value when it was accepted; 0 for a kept value. */
  readonly delta: number;
  readonly content: AmendmentContent;
}

/**
 * Amendments of counters and values share a hash with accounts of programs, whose names start with a letter. Before a
 * value's name stands its kind.
 */
const KEYED_PREFIX = '!';

export function amendedItem(kind: Kind, item: string): string {
  if (kind === 'p') return item;
  return KEYED_PREFIX + (kind === 'c' ? '' : kind) + item;
}

export function parseRecord(record: string): RecordedEntry | Amendment {
  // Splitting the record would take a third of all its parsing.
  const afterTime = record.indexOf(' ');
  const beforeAmount = record.indexOf(' ', afterTime + 1);
  const afterAmount = record.indexOf(' ', beforeAmount + 1);
  const afterBalance = record.indexOf(' ', afterAmount + 1);
  const colon = record.indexOf(':', afterBalance);
  const amounts = record.slice(beforeAmount + 1, afterAmount);
  const slash = amounts.indexOf('/');
  const amount = Number(slash < 0 ? amounts : amounts.slice(0, slash));
  const itemBytes = Number(record.slice(afterBalance + 1, colon));
  const payload = withoutBytes(record.slice(colon + 1), itemBytes);
  if (payload.startsWith('{')) {
    const field = record.slice(colon + 1, record.length - payload.length);
    const { kind, item } = amended(field);
    return { kind, item, ...splitItem(item), delta: amount, content: JSON.parse(payload) };
  }
  const content = readPayload(payload);
  const { program, account, id, reason, metadata, other } = content;
  const hold = slash < 0 ? undefined : readHeld(amounts.slice(slash + 1));
  return {
    program,
    account,
    item: `${program}:${account}`,
    id,
    amount,
    reason,
    metadata,
    other,
    balance: readBalance(record.slice(afterAmount + 1, afterBalance)).balance,
    acceptedAt: Number(record.slice(0, afterTime)),
    payload: hold ? writePayload({ ...content, amount }) : payload,
    hold,
  };
}

function amended(field: string): { kind: Kind; item: string } {
  if (!field.startsWith(KEYED_PREFIX)) return { kind: 'p', item: field };
  const first = field[1] as Kind;
  return isValueKind(first) ? { kind: first, item: field.slice(2) } : { kind: 'c', item: field.slice(1) };
}

/**
 * An entry as JSON: `[program, account, id, amount, reason, metadata]`, with the other account before the
 * metadata if it is of a transfer.
 */
export function writePayload({ metadata, ...content }: EntryContent): string {
  return `${headOf(content)}${metadata}]`;
}

/** @throws SyntaxError if it is not JSON */
export function readPayload(payload: string): EntryContent {
  const [program, account, id, amount, reason, ...rest] = JSON.parse(payload);
  const other: string | undefined = rest.length > 1 ? rest[0] : undefined;
  const content = { program, account, id, amount, reason, other };
  if ((rest.at(-1) ?? null) === null) return { ...content, metadata: null };
  const head = headOf(content);
  if (payload.startsWith(head)) return { ...content, metadata: payload.slice(head.length, -1) };
  // An operator wrote it by hand into the quarantine.
  return { ...content, metadata: JSON.stringify((parseExact(payload) as unknown[]).at(-1)) };
}

/** Everything before the metadata. `readPayload` finds the metadata's text by it. */
function headOf({ program, account, id, amount, reason, other }: Omit<EntryContent, 'metadata'>): string {
  const parts = [program, account, id, amount, reason];
  if (other !== undefined) parts.push(other);
  return `${JSON.stringify(parts).slice(0, -1)},`;
}

export function isAmendment(record: RecordedEntry | Amendment): record is Amendment {
  return 'content' in record;
}

export function isEntry(record: RecordedEntry | Amendment): record is RecordedEntry {
  return !isAmendment(record);
}

/** The record's length counts bytes, as Lua does. In pure ASCII a byte is a character. */
function withoutBytes(text: string, bytes: number): string {
  if (Buffer.byteLength(text) === text.length) return text.slice(bytes);
  return Buffer.from(text).subarray(bytes).toString();
}
