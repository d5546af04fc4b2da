/** What must hold after each step, after each commit, and at the end of a schedule. */
import { Wrong } from '../steps.ts';
import type { LedgerRow } from './mysql.ts';
import type { Entry } from './redis.ts';
import { PARTITIONS, type World } from './world.ts';

export class Checker {
  readonly #world: World;
  /** The account that each row named at last. */
  readonly #destinations = new Map<string, string>();
  #ledger: readonly LedgerRow[];
  #seen = 0;

  constructor(world: World) {
    this.#world = world;
    this.#ledger = world.tables.entries;
    world.onCommit = () => this.#committed();
  }

  #committed(): void {
    const { tables, mayFall } = this.#world;
    const { entries, transfers, balances } = tables;
    let sum = 0;
    for (const { transfer, amount } of entries) if (transfer !== undefined) sum += amount;
    for (const { amount } of transfers.values()) sum += amount;
    if (sum !== 0) throw new Wrong(`entries of transfers and rows make ${sum}`);
    this.#compareNew(entries);
    for (const { transfer, account } of transfers.values()) this.#destinations.set(transfer, account);
    for (const [account, balance] of balances)
      if (balance < 0 && !mayFall) throw new Wrong(`${account} is below its floor`);
  }

  /** Compares the new entries with the others, and credits with the account that their row named. */
  #compareNew(entries: readonly LedgerRow[]): void {
    if (this.#ledger !== entries) this.#seen = 0;
    this.#ledger = entries;
    for (; this.#seen < entries.length; this.#seen++) {
      const { account, id, amount, transfer } = entries[this.#seen]!;
      const others = entries.slice(0, this.#seen);
      if (others.some(other => other.account === account && other.id === id))
        throw new Wrong(`the ledger has ${id} twice`);
      if (transfer === undefined || amount < 0) continue;
      if (others.some(other => other.transfer === transfer && other.amount > 0))
        throw new Wrong(`${transfer} is credited twice`);
      const destination = this.#destinations.get(transfer);
      if (destination !== account) throw new Wrong(`${transfer} is for ${destination}, not for ${account}`);
    }
  }

  stepped(): void {
    for (const partition of PARTITIONS) {
      const { tables } = this.#world;
      const redis = this.#world.redis[partition]!;
      const watermark = tables.watermarks[partition]!;
      if (redis.live.size === 0 || redis.epoch !== watermark.epoch) continue;
      if (redis.isBehind(watermark) || redis.isAhead(watermark)) continue;
      const written = tables.journals[partition]!.get(redis.token);
      for (const [account, live] of redis.live) {
        if (written?.reload.has(account)) continue;
        const truth = this.#truth(account, redis.flight, redis.pending);
        if (live > truth) throw new Wrong(`the live value of ${account} is ${live}, not ${truth}`);
      }
    }
  }

  /** The most that the account can have once all is written. */
  #truth(account: string, flight: readonly Entry[], pending: readonly Entry[]): number {
    let value = this.#world.tables.valueOf(account);
    const seen = new Set<string>();
    for (const entries of [flight, pending])
      for (const entry of entries) {
        if (entry.account !== account || seen.has(entry.id)) continue;
        seen.add(entry.id);
        if (this.#counts(entry)) value += entry.amount;
        // A late earning counts until its flush, as it does without transfers.
        else if (entry.kind === 'entry' || this.#world.excused.has(entry)) value += Math.max(0, entry.amount);
      }
    return value;
  }

  #counts({ kind, account, id, transfer, row: quarantined }: Entry): boolean {
    const { tables } = this.#world;
    if (kind === 'amendment') return tables.quarantine.some(({ row }) => row === quarantined);
    if (tables.has(account, id)) return false;
    if (kind === 'entry') return true;
    const row = tables.transfers.get(transfer!);
    return row?.account === account && row.state === 'open';
  }

  ended(): void {
    const { tables, redis, accepted } = this.#world;
    const { entries, transfers, quarantine, balances } = tables;
    if (transfers.size > 0) throw new Wrong('a transfer is in transit for ever');
    if (quarantine.length > 0) throw new Wrong('an update stays in quarantine');
    for (const { token, pending } of redis)
      if (token || pending.length > 0) throw new Wrong('updates stay pending');
    for (const [id, account] of accepted)
      if (!tables.has(account, id)) throw new Wrong(`${id} was accepted and is lost`);
    for (const { transfer } of entries)
      if (transfer !== undefined && entries.filter(other => other.transfer === transfer).length !== 2)
        throw new Wrong(`${transfer} has one leg`);
    for (const partition of PARTITIONS) {
      const { live, epoch } = redis[partition]!;
      if (epoch !== tables.watermarks[partition]!.epoch) throw new Wrong('an epoch stays different');
      for (const [account, value] of live)
        if (value !== balances.get(account))
          throw new Wrong(`the live value of ${account} ends as ${value}, not ${balances.get(account)}`);
    }
  }
}
