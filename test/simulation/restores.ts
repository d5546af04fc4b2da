/** What must hold after a restore: a halted partition writes nothing, and every loss is declared first. */
import { verdictStepwise } from '../../src/recovery/evidence.ts';
import { declaredOf, type Mysql, type Session } from './mysql.ts';
import { MOST_UPDATES, type World } from './world.ts';

export class Restores {
  /**
   * Updates that MySQL had, has no more, and that Redis knows; those that neither knows are lost with Redis.
   */
  readonly gone = new Uint8Array(MOST_UPDATES);
  /** Updates that a recovery removed from Redis, whether MySQL has them or not; `taken` counts them. */
  readonly discarded = new Uint8Array(MOST_UPDATES);
  taken = 0;
  readonly #everWritten = new Uint8Array(MOST_UPDATES);
  halted: 'DATABASE_WENT_BACK' | 'REDIS_BACKUP_RESTORED' | undefined;
  happened = false;
  recovered = false;
  discardedAny = false;
  /** Session with the watermark's lock when the partition was last judged. */
  #judgedFor: Session | undefined;
  /** Updates that were declared in rows which the restored MySQL lacks. */
  readonly #forgotten = { lost: 0, doubled: 0 };

  onMysqlRestored(world: World, before: Mysql): void {
    const { mysql } = world;
    for (let uid = 0; uid < MOST_UPDATES; uid++) {
      if (copiesIn(before, uid) > 0) this.#everWritten[uid] = 1;
      if (copiesIn(before, uid) > copiesIn(mysql, uid)) this.gone[uid] = world.redis.data.accepted[uid]!;
    }
    for (const kind of ['lost', 'doubled'] as const)
      this.#forgotten[kind] += Math.max(0, declaredOf(before, kind) - declaredOf(mysql, kind));
    this.judge(world);
  }

  onRedisRestored(world: World): void {
    for (let uid = 0; uid < MOST_UPDATES; uid++) if (!world.redis.data.accepted[uid]) this.gone[uid] = 0;
    // The session with the lock read the Redis from before.
    this.halted = undefined;
    this.judge(world);
  }

  /** Runs after each step since the restore: a late acknowledgement may reveal that MySQL went back. */
  judge({ redis, mysql }: World): void {
    this.happened = true;
    // The session with the watermark's lock acts on what it read when it got the lock.
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

  /** Counts the updates that MySQL had or a recovery removed, and of which no copy is left. */
  lost(copies: Uint8Array): number {
    let lost = 0;
    for (let uid = 0; uid < MOST_UPDATES; uid++)
      if ((this.discarded[uid] || this.gone[uid]) && copies[uid] === 0) lost++;
    return lost;
  }
}

/** How often an update is in MySQL, or was dropped there. */
export function copiesIn({ written, quarantined, leftOut, dropped }: Mysql, uid: number): number {
  return written[uid]! + quarantined[uid]! + leftOut[uid]! + dropped[uid]!;
}
