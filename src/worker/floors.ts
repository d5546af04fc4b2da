/**
 * Finds accounts that a batch takes below their floor. Redis accepts no such debit, so one of the cases of
 * docs/guarantees.md happened: mostly, Redis forgot a debit that MySQL has, and the points were spent again.
 */
import type { PoolConnection } from 'mysql2/promise';
import { itemOf } from '../shared/item.ts';
import { queryRows, readSql } from '../shared/mysql/database.ts';
import { jsonParts } from '../shared/mysql/statement-size.ts';
import type { ValueTables } from '../shared/values/tables.ts';

const QUARANTINED = readSql(new URL('./sql/quarantined-sums.sql', import.meta.url));

interface Fallen {
  readonly program: string;
  readonly account: string;
  balance: number;
}

/** Watches the balances of one attempt at a batch. */
export class FloorWatch {
  readonly #tables: ValueTables;
  readonly #fallen = new Map<string, Fallen>();

  constructor(tables: ValueTables) {
    this.#tables = tables;
  }

  /** @param before the balance in the database before the batch @param balance the balance now */
  note(item: string, program: string, account: string, before: number, balance: number): void {
    const known = this.#fallen.get(item);
    if (known) {
      known.balance = balance;
      return;
    }
    const floor = this.#tables.floor(program);
    if (floor !== undefined && balance < floor && before >= floor)
      this.#fallen.set(item, { program, account, balance });
  }

  /** Accounts below the floor by program, quarantined amounts included. Makes no query if none has fallen. */
  async below(connection: PoolConnection): Promise<ReadonlyMap<string, number>> {
    const below = new Map<string, number>();
    if (this.#fallen.size === 0) return below;
    const all = [...this.#fallen.values()];
    const quarantined = new Map<string, number>();
    for (const { json } of jsonParts(connection, all, ({ program, account }) => [program, account]))
      for (const { name, item_key: key, amount } of await queryRows(connection, QUARANTINED, [json]))
        quarantined.set(itemOf(String(name), String(key)), Number(amount));
    for (const [item, { program, balance }] of this.#fallen)
      if (balance + (quarantined.get(item) ?? 0) < this.#tables.floor(program)!)
        below.set(program, (below.get(program) ?? 0) + 1);
    return below;
  }
}
