/**
 * Compares the journals with the database, update by update, and compares the missing and surplus updates of
 * each partition with those that Sluice declared as lost or doubled.
 */
import type { Keys } from '../../src/shared/redis/keys.ts';
import type { Holdings } from './holdings.ts';
import { compareHolds, isOfHold, isPost } from './holds.ts';
import { type JournalledUpdate, knownOf } from './journal.ts';
import { definitions } from './traffic.ts';
import { compareTransfers, type Decisions, isCredit, noDecisions } from './transfers.ts';
import { wrongValues } from './values.ts';

interface Difference {
  readonly partition: number;
  readonly kind: 'lost' | 'doubled';
  readonly updates: number;
  /** The updates, and what is wrong with them. */
  readonly what: string;
}

export interface Verdict {
  acknowledged: number;
  unknown: number;
  refused: number;
  /** Missing or surplus updates that were not declared. */
  lost: number;
  doubled: number;
  /** Missing or surplus updates that were declared. */
  declared: number;
  /** Upper bounds that Sluice declared. */
  declarations: number;
  differences: Difference[];
  /** Other mistakes: balances, floors, transfers, holds. */
  problems: string[];
}

export function check(
  updates: Iterable<JournalledUpdate>,
  holdings: Holdings,
  keys: Keys,
  decisions: Decisions = noDecisions(),
): Verdict {
  const found = new Comparison(keys);
  for (const update of updates) found.add(update);
  found.compareCounters(holdings);
  found.compareEntries(holdings);
  found.compareLedgers(holdings, decisions);
  found.compareTransfers(holdings, decisions);
  found.compareValues(holdings);
  found.compareHolds(holdings, decisions);
  return found.verdict(holdings);
}

interface Counted {
  readonly key: string;
  acknowledged: number;
  unknown: number;
}

class Comparison {
  readonly #keys: Keys;
  readonly #counts = { acknowledged: 0, unknown: 0, refused: 0 };
  readonly #counters = new Map<string, Counted>();
  readonly #entries = new Map<string, JournalledUpdate>();
  readonly #puts: JournalledUpdate[] = [];
  readonly #ofHolds: JournalledUpdate[] = [];
  readonly #differences: Difference[] = [];
  readonly #problems: string[] = [];

  constructor(keys: Keys) {
    this.#keys = keys;
  }

  add(update: JournalledUpdate): void {
    const known = knownOf(update);
    this.#counts[known]++;
    if (update.kind === 'p') {
      this.#entries.set(`${update.name} ${update.key} ${update.id}`, update);
      return;
    }
    if (update.kind === 'v') {
      this.#puts.push(update);
      return;
    }
    if (isOfHold(update)) {
      this.#ofHolds.push(update);
      return;
    }
    const name = `${update.name} ${update.key}`;
    const counted = this.#counters.get(name) ?? { key: update.key, acknowledged: 0, unknown: 0 };
    this.#counters.set(name, counted);
    if (known !== 'refused') counted[known]++;
  }

  /** Every increment is by one, so a sum is a number of updates. */
  compareCounters({ counters }: Holdings): void {
    for (const name of new Set([...this.#counters.keys(), ...counters.keys()])) {
      const key = name.slice(name.indexOf(' ') + 1);
      const { acknowledged, unknown } = this.#counters.get(name) ?? { acknowledged: 0, unknown: 0 };
      const sum = counters.get(name) ?? 0;
      const about = `counter ${name}: ${acknowledged} acknowledged, ${unknown} unknown, ${sum} in the database`;
      if (sum < acknowledged) this.#differ('lost', key, acknowledged - sum, about);
      if (sum > acknowledged + unknown) this.#differ('doubled', key, sum - acknowledged - unknown, about);
    }
  }

  compareEntries({ entries }: Holdings): void {
    const times = new Map<string, number>();
    for (const entry of entries) {
      if (isCredit(entry) || isPost(entry)) continue;
      const { program, account, id, amount } = entry;
      const name = `${program} ${account} ${id}`;
      const before = times.get(name) ?? 0;
      times.set(name, before + 1);
      const update = this.#entries.get(name);
      const wrong = !update
        ? 'that nobody asked for'
        : before > 0
          ? 'counted twice'
          : knownOf(update) === 'refused'
            ? `that was refused (${update.code})`
            : amount !== update.amount
              ? `of ${amount} instead of ${update.amount}`
              : undefined;
      if (wrong) this.#differ('doubled', account, 1, `entry ${name} ${wrong}`);
    }
    for (const [name, update] of this.#entries) {
      if (knownOf(update) !== 'acknowledged' || times.has(name)) continue;
      const receipt = update.persisted ? ' although persisted() had resolved' : '';
      this.#differ('lost', update.key, 1, `entry ${name} is missing${receipt}`);
    }
  }

  compareLedgers({ entries, balances, losses }: Holdings, { refused }: Decisions): void {
    const sums = new Map<string, number>();
    for (const { program, account, amount, balanceAfter, id } of entries) {
      if (balanceAfter === undefined) continue;
      const name = `${program} ${account}`;
      sums.set(name, (sums.get(name) ?? 0) + amount);
      const { floor } = definitions.points[program as keyof typeof definitions.points];
      const isExcused =
        refused.has(name) ||
        refused.has(program) ||
        losses.some(loss => loss.partition === this.#keys.partitionOf(account));
      if (amount < 0 && balanceAfter < floor && !isExcused) {
        this.#problems.push(`entry ${id} took ${name} to ${balanceAfter}, below its floor of ${floor}`);
      }
    }
    for (const name of new Set([...sums.keys(), ...balances.keys()])) {
      const [balance, sum] = [balances.get(name) ?? 0, sums.get(name) ?? 0];
      if (balance !== sum)
        this.#problems.push(`balance of ${name} is ${balance}, its entries add up to ${sum}`);
    }
  }

  compareTransfers(holdings: Holdings, decisions: Decisions): void {
    this.#problems.push(...compareTransfers(this.#entries, holdings, decisions));
  }

  compareValues({ values }: Holdings): void {
    for (const { kind, key, what } of wrongValues(this.#puts, values)) this.#differ(kind, key, 1, what);
  }

  compareHolds(holdings: Holdings, { refused }: Decisions): void {
    const lost = new Set(holdings.losses.map(({ partition }) => partition));
    const hasLost = (account: string) => lost.has(this.#keys.partitionOf(account));
    const { differences, problems } = compareHolds(this.#ofHolds, holdings, refused, hasLost);
    for (const { kind, key, what } of differences) this.#differ(kind, key, 1, what);
    this.#problems.push(...problems);
  }

  verdict({ losses }: Holdings): Verdict {
    const undeclared = { lost: 0, doubled: 0 };
    let declared = 0;
    for (let partition = 0; partition < this.#keys.partitions; partition++) {
      for (const kind of ['lost', 'doubled'] as const) {
        const isOf = (item: { partition: number; kind: string }) =>
          item.partition === partition && item.kind === kind;
        const differing = total(this.#differences.filter(isOf));
        const covered = Math.min(differing, total(losses.filter(isOf)));
        declared += covered;
        undeclared[kind] += differing - covered;
      }
    }
    return {
      ...this.#counts,
      ...undeclared,
      declared,
      declarations: total(losses),
      differences: this.#differences,
      problems: this.#problems,
    };
  }

  #differ(kind: Difference['kind'], key: string, updates: number, what: string): void {
    this.#differences.push({ partition: this.#keys.partitionOf(key), kind, updates, what });
  }
}

function total(items: { updates: number }[]): number {
  return items.reduce((sum, item) => sum + item.updates, 0);
}
