/** Backups of either server and their restore, which also ends every connection to the server. */
import type { Faults } from './faults.ts';
import { copyMysql, type Mysql } from './mysql.ts';
import { copyRedis, type RedisData } from './redis.ts';
import { limits, type Process, type World } from './world.ts';

const KEPT = 4;

export class Backups {
  readonly #world: World;
  readonly #faults: Faults;
  readonly #say: (line: string) => void;
  readonly #ofMysql: Mysql[] = [];
  readonly #ofRedis: RedisData[] = [];
  #mysqlRestored = false;
  #redisRestored = false;

  constructor(world: World, faults: Faults, say: (line: string) => void) {
    this.#world = world;
    this.#faults = faults;
    this.#say = say;
  }

  /**
   * May take or restore a backup. Each server is restored once at most, mostly to a state behind the other.
   */
  step(processes: readonly Process[]): void {
    const { random, mysql, redis } = this.#world;
    const { backup, restoreMysql, restoreRedis } = this.#faults;
    const { sequence } = mysql.watermark;
    if (restoreMysql > 0 && random.chance(backup)) this.#keep(this.#ofMysql, copyMysql(mysql));
    if (restoreRedis > 0 && random.chance(backup)) this.#keep(this.#ofRedis, copyRedis(redis.data));
    if (!this.#mysqlRestored && random.chance(restoreMysql)) {
      const old = this.#choose(this.#ofMysql, copy => copy.watermark.sequence < sequence);
      if (old) this.#restoreMysql(old);
    }
    if (!this.#redisRestored && random.chance(restoreRedis)) {
      const isOld = ({ state }: RedisData) =>
        state !== undefined &&
        state.updates > state.claimed - state.flightUpdates &&
        state.sequence + 1 < sequence;
      // Much to discard shows most.
      const weight = random.chance(0.5) ? pendingKeys : undefined;
      const old = this.#choose(this.#ofRedis, isOld, weight);
      if (old) this.#restoreRedis(old, processes);
    }
  }

  #choose<Copy>(
    copies: readonly Copy[],
    isOld: (copy: Copy) => boolean,
    weightOf?: (copy: Copy) => number,
  ): Copy | undefined {
    const { random } = this.#world;
    const old = copies.filter(isOld);
    if (old.length > 0 && weightOf)
      return old.reduce((best, copy) => (weightOf(copy) > weightOf(best) ? copy : best));
    if (old.length > 0) return random.pick(old);
    return copies.length > 0 && random.chance(0.1) ? random.pick(copies) : undefined;
  }

  #keep<Copy>(copies: Copy[], copy: Copy): void {
    if (copies.length < KEPT) copies.push(copy);
    else copies[this.#world.random.below(KEPT)] = copy;
  }

  #restoreMysql(backup: Mysql): void {
    const world = this.#world;
    const before = world.mysql;
    this.#mysqlRestored = true;
    world.restored = true;
    world.mysql = { ...copyMysql(backup), run: before.run + 1 };
    this.#say(`MySQL is restored: watermark ${backup.watermark.sequence}, was ${before.watermark.sequence}`);
    world.checker.onMysqlRestored(world, before);
  }

  /** The restore takes longer than any call may. */
  #restoreRedis(backup: RedisData, processes: readonly Process[]): void {
    const world = this.#world;
    const before = world.redis.data.state?.sequence;
    this.#redisRestored = true;
    world.restored = true;
    world.redis.data = copyRedis(backup);
    world.redis.run++;
    world.now += 2 * limits.callTimeoutMs;
    this.#say(`Redis is restored: sequence ${backup.state?.sequence}, was ${before}`);
    for (const process of processes) process.disconnections++;
    world.checker.onLoss(world, processes, true);
    world.checker.check(world);
  }
}

function pendingKeys({ state }: RedisData): number {
  return state ? state.pushed - state.popped : 0;
}
