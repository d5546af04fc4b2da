/** Measures when flushing works again: it increments a new counter in every partition until MySQL has it. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { RowDataPacket } from 'mysql2/promise';
import type { Sluice } from '../../src/producer/client.ts';
import { createProducer } from '../../src/producer/index.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import type { Root } from './cluster-root.ts';
import type { TortureDurability } from './durability.ts';
import { Journal } from './journal.ts';
import type { Stack } from './stack.ts';
import { definitions, partitions } from './traffic.ts';

const pollEvery = 20;
/** An acknowledged increment that has not arrived by then, in ms, may be lost and is repeated. */
const sendAgainAfter = 1000;

export class Probe {
  readonly journalFile: string;
  readonly #sluice: Sluice<typeof definitions>;
  readonly #journal: Journal;
  readonly #root: Root;
  readonly #keys: Keys;
  #rounds = 0;

  private constructor(sluice: Sluice<typeof definitions>, stack: Stack) {
    this.#sluice = sluice;
    this.#root = stack.root;
    this.journalFile = join(stack.folder, 'probe.journal');
    this.#journal = new Journal(this.journalFile);
    this.#keys = new Keys(stack.direct.namespace, partitions);
  }

  static async open(stack: Stack, durability: TortureDurability): Promise<Probe> {
    const { redisUrl: redis, mysqlUrl: mysql, namespace } = stack.direct;
    const settings = { partitions };
    return new Probe(
      await createProducer({ redis, mysql, namespace, definitions, settings, durability }),
      stack,
    );
  }

  /** Time when every partition had flushed an increment made after this call; undefined after the limit. */
  async flushed(limitMs: number): Promise<number | undefined> {
    const round = ++this.#rounds;
    const missing = new Set(
      Array.from({ length: partitions }, (_, partition) => this.#keyIn(partition, round)),
    );
    const deadline = performance.now() + limitMs;
    const isOver = () => missing.size === 0 || performance.now() > deadline;
    const sending = [...missing].map(key => this.#send(key, () => !missing.has(key) || isOver()));
    while (!isOver()) {
      for (const key of await this.#arrived([...missing])) missing.delete(key);
      if (missing.size > 0) await delay(pollEvery);
    }
    const time = performance.now();
    await Promise.all(sending);
    return missing.size === 0 ? time : undefined;
  }

  close(): Promise<void> {
    return this.#sluice.close();
  }

  async #send(key: string, isDone: () => boolean): Promise<void> {
    while (!isDone()) {
      const [number] = this.#journal.ask([{ counter: 'probe', key }]);
      try {
        await this.#sluice.counter('probe').increment(key);
        this.#journal.acknowledged(number!);
        const again = performance.now() + sendAgainAfter;
        while (!isDone() && performance.now() < again) await delay(pollEvery);
      } catch (error) {
        this.#journal.failed(number!, (error as { code?: string }).code ?? 'UNEXPECTED');
        await delay(pollEvery);
      }
    }
  }

  async #arrived(keys: string[]): Promise<string[]> {
    const sql = 'SELECT counter_key FROM sluice_counters WHERE counter = ? AND counter_key IN (?)';
    try {
      const [rows] = await this.#root.query<RowDataPacket[]>(sql, [
        Buffer.from('probe'),
        keys.map(key => Buffer.from(key)),
      ]);
      return rows.map(row => String(row.counter_key));
    } catch {
      // The database is not reachable.
      return [];
    }
  }

  #keyIn(partition: number, round: number): string {
    for (let suffix = 0; ; suffix++) {
      const key = `${round}.${suffix}`;
      if (this.#keys.partitionOf(key) === partition) return key;
    }
  }
}
