/**
 * What must hold when a backup of either server was restored: a halted partition writes nothing, and what is lost or
 * counts twice through the restore, or through the recovery from it, is declared before it happens.
 */
import { verdictStepwise } from '../../src/recovery/evidence.ts';
import { declaredOf, type Mysql, type Session } from './mysql.ts';
import { MOST_UPDATES, type World } from './world.ts';

export class Restores {
  /** Updates that MySQL had and has no more, and of which Redis knows: what neither knows is lost with Redis. */
  readonly gone = new Uint8Array(MOST_UPDATES);
  /** Updates that a recovery took out of Redis, whether MySQL has them or not; that many must be declared before. */
  readonly discarded = new Uint8Array(MOST_UPDATES);
  taken = 0;
  readonly #everWritten = new Uint8Array(MOST_UPDATES);
  halted: 'DATABASE_WENT_BACK' | 'REDIS_BACKUP_RESTORED' | undefined;
  happened = false;
  recovered = false;
  discardedAny = false;
  /** Who held the watermark's lock when the partition was judged last. */
  #judgedFor: Session | undefined;
  /** Declared in rows that a restore of MySQL took away. */
  readonly #forgotten = { lost: 0, doubled: 0 };

  onMysqlRestored(world: World, before: Mysql): void {
    const { mysql } = world;
    for (let uid = 0; uid < MOST_UPDATES; uid++) {
      if (placesIn(before, uid) > 0) this.#everWritten[uid] = 1;
      if (placesIn(before, uid) > placesIn(mysql, uid)) this.gone[uid] = world.redis.data.accepted[uid]!;
    }
    for (const kind of ['lost', 'doubled'] as const)
      this.#forgotten[kind] += Math.max(0, declaredOf(before, kind) - declaredOf(mysql, kind));
    this.judge(world);
  }

  onRedisRestored(world: World): void {
    for (let uid = 0; uid < MOST_UPDATES; uid++) if (!world.redis.data.accepted[uid]) this.gone[uid] = 0;
    // Whoever holds the lock has asked the Redis from before.
    this.halted = undefined;
    this.judge(world);
  }

  /** After each step behind a restore: an acknowledgement that was under way may be what tells that MySQL went back. */
  judge({ redis, mysql }: World): void {
    this.happened = true;
    // Whoever holds the watermark's lock goes by what it found when it got it.
    if (mysql.holder && mysql.holder === this.#judgedFor) return;
    this.#judgedFor = mysql.holder;
    const { state } = redis.data;
    this.halted = undefined;
    if (!state) return;
    const sequences = [...mysql.journal.values()].map(({ sequence }) => sequence);
    const journal = sequences.length > 0 ? { oldest: Math.min(...sequences) } : null;
    const steps = verdictStepwise(state, { ...mysql.watermark, journal });
    let step = steps.next();
    while (!step.done) step = steps.next(mysql.journal.has(state.token));
    if (step.value === 'DATABASE_WENT_BACK' || step.value === 'REDIS_BACKUP_RESTORED')
      this.halted = step.value;
  }

  onDiscarded(uids: readonly number[]): void {
    this.discardedAny = true;
    for (const uid of uids) {
      if (!this.discarded[uid]) this.taken++;
      this.discarded[uid] = 1;
    }
  }

  wasWritten({ mysql }: World, uid: number): boolean {
    return mysql.written[uid]! > 0 || this.#everWritten[uid]! > 0;
  }

  declared({ mysql }: World, kind: 'lost' | 'doubled'): number {
    return declaredOf(mysql, kind) + this.#forgotten[kind];
  }

  /** @param places of each update: what MySQL had, or a recovery took away, and is nowhere is lost */
  lost(places: Uint8Array): number {
    let lost = 0;
    for (let uid = 0; uid < MOST_UPDATES; uid++)
      if ((this.discarded[uid] || this.gone[uid]) && places[uid] === 0) lost++;
    return lost;
  }
}

/** In how many places of MySQL an update is, or ended. */
export function placesIn({ written, quarantined, leftOut, dropped }: Mysql, uid: number): number {
  return written[uid]! + quarantined[uid]! + leftOut[uid]! + dropped[uid]!;
}
