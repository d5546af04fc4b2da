/** What must hold after each step, after each commit, and at the end of a schedule. */
import { Wrong } from '../steps.ts';
import { FIRST_BALANCE, type Tables } from './mysql.ts';
import { agrees, endId, type HoldRecord, isSame, NONE, show } from './record.ts';
import type { Account } from './redis.ts';
import type { World } from './world.ts';

export class Checker {
  readonly #world: World;
  #before: Tables;

  constructor(world: World) {
    this.#world = world;
    this.#before = world.tables;
    world.onCommit = () => this.#committed();
  }

  #committed(): void {
    const { tables, backup, mayFall } = this.#world;
    const isRestored = backup !== undefined && tables.watermark === backup.watermark;
    for (const [hold, row] of this.#before.holds)
      if (!isRestored && row.state !== 'o' && !isSame(row, tables.holds.get(hold) ?? NONE))
        throw new Wrong(`the row of ${hold} has ended as ${show(row)} and changes`);
    this.#before = tables;
    let sum = FIRST_BALANCE;
    for (const amount of tables.ledger.values()) sum += amount;
    if (sum !== tables.balance) throw new Wrong(`the ledger makes ${sum}, the balance is ${tables.balance}`);
    this.#comparePosts();
    const { balance, held } = tables.account;
    if (balance < held && !mayFall) throw new Wrong(`MySQL has ${balance}, and holds ${held}`);
  }

  /** Each post has a row and takes no more than it held. */
  #comparePosts(): void {
    const { tables, bug } = this.#world;
    const { holds, ledger, quarantine } = tables;
    const debits = [...ledger, ...quarantine.map(({ entry }) => [entry.id, entry.balance] as const)];
    for (const [hold, { state, amount, more }] of holds) {
      const id = endId(hold, 'p', bug);
      const debit = debits.find(([other]) => other === id)?.[1];
      if (state !== 'p' && debit !== undefined)
        throw new Wrong(`${hold} is ${state}, and ${debit} is posted`);
      if (state !== 'p') continue;
      if (more > amount) throw new Wrong(`${more} of ${amount} is posted`);
      if (debit !== -more && !this.#world.dropped.has(id))
        throw new Wrong(`${hold} posts ${more}, not ${debit}`);
    }
  }

  stepped(): void {
    const { redis, tables, isStale } = this.#world;
    this.#world.latest = Math.max(this.#world.latest, redis.clock);
    if (isStale) {
      for (const entry of redis.entries) this.#world.suspect.add(entry);
      return;
    }
    const written = tables.journal.get(redis.token);
    const { account, holds, late } = this.#world.truth();
    for (const [field, live] of [...redis.old, ...redis.young]) {
      if (live !== redis.live(field)) continue;
      if (field !== 'account') {
        const right = holds.get(field) ?? NONE;
        if (!isSame(live as HoldRecord, right))
          throw new Wrong(`${field} is live as ${show(live as HoldRecord)}, not ${show(right)}`);
        continue;
      }
      // A late entry counts until the acknowledgement.
      if (written?.reload.has(field)) continue;
      const { balance, held } = live as Account;
      if (balance !== account.balance + late || held !== account.held)
        throw new Wrong(`${balance}/${held} is live, not ${account.balance + late}/${account.held}`);
    }
  }

  ended(): void {
    const { redis, tables, entries, holds, dropped, bug } = this.#world;
    if (tables.quarantine.length > 0) throw new Wrong('an update stays in quarantine');
    if (redis.token || redis.entries.length > 0) throw new Wrong('updates stay pending');
    if (this.#world.isStale) throw new Wrong('the sides stay different');
    for (const [id, amount] of entries)
      if (tables.ledger.get(id) !== amount && !dropped.has(id))
        throw new Wrong(`${id} was accepted and is lost`);
    for (const [hold, said] of holds)
      if (!agrees(said, tables.holds.get(hold)))
        throw new Wrong(
          `${hold} was said to be ${show(said)}, and is ${show(tables.holds.get(hold) ?? NONE)}`,
        );
    const ends = new Set([...tables.holds.keys()].map(hold => endId(hold, 'p', bug)));
    for (const id of tables.ledger.keys())
      if (!ends.has(id) && !id.startsWith('u')) throw new Wrong(`${id} is in the ledger`);
    for (const [hold, { state, more }] of tables.holds)
      if (state === 'o' && more > 0 && more <= redis.clock) throw new Wrong(`${hold} never expires`);
  }
}
