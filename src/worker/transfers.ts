/**
 * Transfers in transit: rows of `sluice_transfers`, in the transactions that write their entries. A row is the
 * right to credit. The transaction of the debit inserts it, the one of the credit deletes it.
 */
import type { PoolConnection, ResultSetHeader } from 'mysql2/promise';
import { AnswerMissingError } from '../shared/errors.ts';
import { queryRows, type Rows, readSql } from '../shared/mysql/database.ts';
import { jsonParts } from '../shared/mysql/statement-size.ts';
import { type Position, toPosition } from '../shared/partition/watermark.ts';
import { creditedBy, type EntryContent } from '../shared/updates/record.ts';

const sql = (name: string) => readSql(new URL(`./sql/${name}.sql`, import.meta.url));
const INSERT = sql('insert-transfers');
const OPEN = sql('open-transfers');
const DELETE = sql('delete-transfers');
const ASIDE = sql('put-transfers-aside');
const DRIVEN = sql('note-driven');
const WATERMARKS = sql('watermarks');

/** A transfer whose credit is still to be written. */
export interface Transfer {
  /** Its name. */
  readonly transfer: string;
  readonly program: string;
  readonly from: string;
  readonly to: string;
  /** The id of the debit. */
  readonly id: string;
  readonly amount: number;
}

/** Transfers to one partition, with its watermark from before any of their credits was written. */
export interface Outgoing {
  readonly partition: number;
  readonly watermark: Position;
  readonly transfers: readonly Transfer[];
}

/** The transfer of a debit with a destination. @param transfer its name */
export function transferOf(entry: EntryContent, transfer: string): Transfer {
  const { program, account, id, amount, other } = entry;
  return { transfer, program, from: account, to: other!, id, amount: -amount };
}

/** The transfer of a row of `sluice_transfers`. */
export function toTransfer(row: Rows[number]): Transfer {
  return {
    transfer: String(row.transfer),
    program: String(row.program),
    from: String(row.from_account),
    to: String(row.to_account),
    id: String(row.entry_id),
    amount: Number(row.amount),
  };
}

/** Notes transfers as in transit, in the transaction of their debits. */
export async function insertTransfers(
  connection: PoolConnection,
  transfers: readonly Transfer[],
): Promise<void> {
  const encode = ({ transfer, program, from, to, id, amount }: Transfer) => [
    transfer,
    program,
    from,
    to,
    id,
    amount,
  ];
  for (const { json } of jsonParts(connection, transfers, encode)) await connection.query(INSERT, [json]);
}

function rightOf(credit: EntryContent): unknown[] {
  return [creditedBy(credit)!, credit.program, credit.account, credit.amount];
}

/**
 * Uses up the rights to these credits, in the transaction that writes them.
 * @throws AnswerMissingError if one of them is not there, so that its credit is not written
 */
export async function deleteTransfers(
  connection: PoolConnection,
  credits: readonly EntryContent[],
): Promise<void> {
  for (const { json, rows } of jsonParts(connection, credits, rightOf)) {
    const [{ affectedRows }] = await connection.query<ResultSetHeader>(DELETE, [json]);
    if (affectedRows !== rows.length) throw new AnswerMissingError('the row of a transfer in transit');
  }
}

/**
 * Those of these credits that may be written, each transfer once. The caller holds the lock of their
 * partitions' watermarks, so nobody else writes or changes their rows.
 */
export async function rightfulCredits<Credit extends EntryContent>(
  connection: PoolConnection,
  credits: readonly Credit[],
): Promise<Set<Credit>> {
  const open = new Set<string>();
  for (const { json } of jsonParts(connection, credits, rightOf))
    for (const { transfer } of await queryRows(connection, OPEN, [json])) open.add(String(transfer));
  return new Set(credits.filter(credit => open.delete(creditedBy(credit)!)));
}

/** Puts the transfers of refused credits aside, for an operator. */
export async function putAside(
  connection: PoolConnection,
  refused: readonly { readonly row: EntryContent; readonly code: string }[],
): Promise<void> {
  const encode = ({ row, code }: (typeof refused)[number]) => [creditedBy(row)!, code];
  for (const { json, rows } of jsonParts(connection, refused, encode)) {
    const [{ affectedRows }] = await connection.query<ResultSetHeader>(ASIDE, [json]);
    if (affectedRows !== rows.length) throw new AnswerMissingError('the row of a transfer in transit');
  }
}

/** Notes that the credits of these transfers were sent, or have to wait: they are sent again later. */
export async function noteDriven(connection: PoolConnection, transfers: readonly string[]): Promise<void> {
  for (const { json } of jsonParts(connection, transfers, name => name))
    await connection.query(DRIVEN, [json]);
}

/**
 * Transfers by destination, with the watermarks. The caller has moved the watermark of its own partition, and
 * commits after this: so no credit of them was written before these watermarks.
 */
export async function outgoing(
  connection: PoolConnection,
  transfers: readonly Transfer[],
  partitionOf: (account: string) => number,
): Promise<Outgoing[]> {
  if (transfers.length === 0) return [];
  const byPartition = Map.groupBy(transfers, ({ to }) => partitionOf(to));
  const rows = await queryRows(connection, WATERMARKS, [[...byPartition.keys()]]);
  return rows.map(row => {
    const partition = Number(row.partition_id);
    return { partition, watermark: toPosition(row), transfers: byPartition.get(partition)! };
  });
}
