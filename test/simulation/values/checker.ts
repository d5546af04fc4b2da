/** What must hold after each step, after each commit, and at the end of a schedule. */
import { Wrong } from '../steps.ts';
import { ITEMS, type Item, isRight } from './kept.ts';
import type { World } from './world.ts';

export class Checker {
  readonly #world: World;
  /** The highest rank in each row of a `last` value. */
  readonly #last = new Map<Item, number>();

  constructor(world: World) {
    this.#world = world;
    world.onCommit = () => this.#committed();
  }

  #committed(): void {
    for (const [item, kept] of this.#world.tables.values) {
      if (!isRight(item, kept))
        throw new Wrong(`MySQL has ${kept.value} in ${item} after ${JSON.stringify(kept.puts)}`);
      if (item[0] !== '=') continue;
      const rank = Math.max(...kept.puts.filter(put => put.value === kept.value).map(put => put.rank));
      if (rank < (this.#last.get(item) ?? 0)) throw new Wrong(`${item} goes back in MySQL`);
      this.#last.set(item, rank);
    }
  }

  stepped(): void {
    const { redis, tables } = this.#world;
    const miscounted = redis.miscounted();
    if (miscounted) throw new Wrong(miscounted);
    if (!redis.fits(tables.watermark)) return;
    const written = tables.journal.get(redis.token);
    for (const [item, live] of redis.lives()) {
      if (written?.reload.has(item)) continue;
      const truth = this.#world.truth(item);
      if (live?.value !== truth?.value || live?.version !== truth?.version)
        throw new Wrong(`${item} is live as ${show(live)}, not ${show(truth)}`);
    }
  }

  ended(): void {
    const { redis, tables, due } = this.#world;
    if (tables.quarantine.length > 0) throw new Wrong('an update stays in quarantine');
    if (redis.token || redis.waiting.length > 0) throw new Wrong('updates stay pending');
    if (redis.epoch !== tables.watermark.epoch) throw new Wrong('an epoch stays different');
    if (redis.updates !== tables.watermark.updates)
      throw new Wrong(`Redis accepted ${redis.updates} updates, MySQL has ${tables.watermark.updates}`);
    for (const [put, item] of due)
      if (!tables.values.get(item)?.puts.includes(put))
        throw new Wrong(`${put.value} was put into ${item} and is lost`);
    for (const item of ITEMS)
      if (redis.live.has(item) && redis.live.get(item)?.value !== tables.values.get(item)?.value)
        throw new Wrong(`the live value of ${item} ends differently`);
  }
}

function show(kept: { readonly value: number; readonly version: number } | undefined): string {
  return kept ? `${kept.value}@${kept.version}` : 'none';
}
