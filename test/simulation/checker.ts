/**
 * What must hold after every step and at the end. The checker sees everything: the updates in every sum, what
 * Redis has accepted, what MySQL has committed. It throws a violation, which ends the schedule.
 */
import type { Watermark } from '../../src/shared/partition/watermark.ts';
import type { LedgerRow, Mysql, Refused } from './mysql.ts';
import { checkBoard } from './ranks/checker.ts';
import type { Drop, Entry, Live, RedisData, State, Sum } from './redis.ts';
import { copiesIn, Restores } from './restores.ts';
import type { Asked, Users } from './users.ts';
import { limits, MOST_UPDATES, type Process, type World } from './world.ts';

export class Violation extends Error {}

export class Checker {
  users!: Users;
  readonly restores = new Restores();
  readonly #copies = new Uint8Array(MOST_UPDATES);
  readonly #accepted = new Uint8Array(MOST_UPDATES);
  readonly #acceptedAt: number[] = new Array(MOST_UPDATES).fill(0);
  readonly #taken = new Uint8Array(MOST_UPDATES);
  /** Updates whose claim Redis has lost; without the barrier they may count twice. */
  readonly #exposed = new Uint8Array(MOST_UPDATES);
  #lossEpoch: string | undefined;
  #lost = false;
  /** Whether Redis was found behind the watermark. */
  #noticed = false;
  /** What each producer had been answered at the loss, and how many updates it knows to be lost. */
  #knowing: { process: Process; life: number; seen: Process['seen']; updates: number }[] = [];
  /** Accounts whose live value was too high for a while, since an id was used again after its window. */
  readonly #late = new Set<string>();
  /** By process that walks over live values: those that were live since it began. */
  readonly #walks = new Map<string, Set<string>>();

  /** An update is applied once, and its id again only after the window of the id. */
  onApplied(world: World, uids: readonly number[]): void {
    const { data } = world.redis;
    for (const uid of uids) {
      const { identity, update } = this.users.asked[uid]!;
      if (data.accepted[uid]) fail(`update ${uid} is applied twice`);
      if (update.id !== '') this.#checkRepeat(world, uid, identity);
      data.accepted[uid] = 1;
      this.#accepted[uid] = 1;
      this.#acceptedAt[uid] = world.now;
      if (update.amount < 0 && update.kind === 'p') this.#checkFloor(world, update.item, update.floor);
    }
  }

  /** A drop is accepted: from now on the account has the dropped amount back, or has lost it. */
  onAmended({ mysql, redis: { data } }: World, { row }: Drop): void {
    for (const uid of mysql.refused.find(one => one.row === row)?.uids ?? []) data.dropped[uid] = 1;
  }

  #checkRepeat(world: World, uid: number, identity: number): void {
    for (const other of this.users.asked) {
      if (other.identity !== identity || other.uid === uid || !world.redis.data.accepted[other.uid]) continue;
      if (
        world.now - this.#acceptedAt[other.uid]! < limits.idempotencyWindowMs &&
        !this.restores.gone[other.uid]
      )
        fail(`update ${uid} is applied under the id of update ${other.uid}, inside the window`);
      this.#late.add(other.update.item);
    }
  }

  /**
   * The sum of everything accepted and not dropped, each id once, is never below the floor. The one
   * exception: a Redis behind the watermark, not yet noticed, does not know of debits that MySQL has.
   */
  #checkFloor(world: World, item: string, floor: number): void {
    const { mysql, redis, barrier } = world;
    const { data } = redis;
    if (this.#late.has(item) || this.restores.happened) return;
    let known = 0;
    for (const { uid, update } of this.users.asked)
      if (update.item === item && data.accepted[uid] && (!data.dropped[uid] || mysql.written[uid]))
        known += update.amount;
    const isUnnoticed = !this.#noticed && data.state!.epoch === this.#lossEpoch;
    if ((!this.#lost || isUnnoticed) && known < floor)
      fail(`a debit took ${item} to ${known}, below its floor`);
    if (!this.#lost || (isUnnoticed && !barrier)) return;
    const balance = this.#sumOf(world, 'p', item);
    if (balance < floor) fail(`after a loss, a debit took ${item} to ${balance}, below its floor`);
  }

  onTaken(data: RedisData, uids: readonly number[]): void {
    for (const uid of uids) {
      data.taken[uid] = 1;
      this.#taken[uid] = 1;
    }
  }

  /** Redis has lost data: whatever it does not know any more is lost, and nothing else. */
  onLoss(world: World, processes: readonly Process[], isRestore = false): void {
    const { data } = world.redis;
    if (isRestore) this.restores.onRedisRestored(world);
    this.#lost = true;
    // If Redis is empty, the count goes on from that of MySQL.
    const kept = data.state?.updates ?? Infinity;
    this.#knowing = processes.map(process => ({
      process,
      life: process.life,
      seen: process.seen,
      updates: process.seen.updates - kept,
    }));
    this.#lossEpoch = data.state?.epoch ?? '';
    for (let uid = 0; uid < MOST_UPDATES; uid++)
      if (this.#taken[uid] && (isRestore || !data.taken[uid])) this.#exposed[uid] = 1;
  }

  onMysqlRestored(world: World, before: Mysql): void {
    this.#lost = true;
    this.#lossEpoch = world.redis.data.state?.epoch ?? '';
    this.restores.onMysqlRestored(world, before);
  }

  /** Redis was found behind the watermark: from now on it knows everything that MySQL has. */
  onNoticed(): void {
    this.#noticed = true;
  }

  /** From now on live values are those of the new epoch. */
  onRecovered(): void {
    this.restores.recovered = true;
    this.#lossEpoch = '';
  }

  onBatch(sequence: number): void {
    const { halted } = this.restores;
    if (halted) fail(`batch ${sequence} is written although the partition is halted (${halted})`);
  }

  onAcknowledged({ uid, identity, state }: Asked): void {
    const applied = this.users.asked.some(
      other =>
        other.identity === identity &&
        (other.uid === uid || state === 'duplicate') &&
        this.#accepted[other.uid],
    );
    if (!applied) fail(`update ${uid} is acknowledged, but was never applied`);
  }

  onRefused(world: World, { uid }: Asked): void {
    if (world.redis.data.accepted[uid]) fail(`update ${uid} failed for certain, but was applied`);
  }

  /** A value was loaded from MySQL, and it is right unless a loss has changed MySQL since. */
  onLoaded(world: World, read: Watermark, kind: 'c' | 'p', item: string, value: number): void {
    const now = world.mysql.watermark;
    if (this.#lost && (read.sequence !== now.sequence || read.token !== now.token)) return;
    if (this.#isToBeDeleted(world, item)) return;
    const expected = this.#sumOf(world, kind, item);
    if (value !== expected) fail(`cold read of ${item} gave ${value}, not ${expected}`);
  }

  /** `persisted()` has resolved. */
  onPersisted(world: World, { uid, identity, state }: Asked): void {
    // A duplicate repeats an update whose mark is lost.
    if (this.#lost && state === 'duplicate') return;
    if (
      this.users.asked.some(
        other =>
          other.identity === identity &&
          // After a drop, a receipt finds nothing in quarantine any more.
          (this.restores.wasWritten(world, other.uid) || world.mysql.dropped[other.uid]),
      )
    )
      return;
    fail(`receipt of update ${uid} says persisted, but it is not in MySQL`);
  }

  /** `persisted()` has rejected: the update must be in one of these sums. */
  onQuarantined({ uid }: Asked, sums: readonly Refused[]): void {
    if (!this.#lost && !sums.some(({ uids }) => uids.includes(uid)))
      fail(`receipt of update ${uid} says quarantined, but it is not`);
  }

  /** Each row of an account's ledger continues the one before; an id has one row. */
  onLedgerRow(world: World, row: LedgerRow): void {
    const { ledger, ledgerIds } = world.mysql;
    if (ledgerIds.has(`${row.item} ${row.id}`)) fail(`${row.item} has two ledger rows under id ${row.id}`);
    const before = ledger.findLast(({ item }) => item === row.item)?.balanceAfter ?? 0;
    if (row.balanceAfter !== before + row.amount)
      fail(`ledger of ${row.item} jumps from ${before} to ${row.balanceAfter}`);
  }

  /** Runs after every step of a server. */
  check(world: World): void {
    if (this.restores.happened) this.restores.judge(world);
    // A late acknowledgement may halt the partition after the restore; values loaded before are stale too.
    if (this.restores.halted) this.#lossEpoch = world.redis.data.state?.epoch ?? '';
    this.#checkCopies(world);
    this.#checkLive(world);
    if (world.ranked && !this.#isStale(world)) {
      const { kind } = world.ranked;
      const wrong = checkBoard(world, item =>
        this.#isToBeDeleted(world, item) ? undefined : this.#sumOf(world, kind, item),
      );
      if (wrong !== undefined) fail(wrong);
    }
    const { liveYoung, liveOld } = world.redis.data;
    for (const walked of this.#walks.values())
      for (const field of walked) if (!liveYoung.has(field) && !liveOld.has(field)) walked.delete(field);
  }

  /** A process begins to walk over all live values. */
  onWalk({ redis: { data } }: World, { name }: Process): void {
    this.#walks.set(name, new Set([...data.liveYoung.keys(), ...data.liveOld.keys()]));
  }

  /** It has seen these: all that were live during the whole walk. */
  onWalked({ name }: Process, seen: ReadonlySet<string>): void {
    for (const field of this.#walks.get(name)!)
      if (!seen.has(field)) fail(`a walk over live values has missed ${field}`);
    this.#walks.delete(name);
  }

  /** Each accepted update exists once: pending, in flight, in MySQL, in quarantine, or left out as late. */
  #checkCopies(world: World): void {
    const { data } = world.redis;
    const { mysql, barrier } = world;
    const copies = this.#copies;
    for (let uid = 0; uid < this.users.asked.length; uid++) copies[uid] = copiesIn(mysql, uid);
    for (const { uids } of data.counters.values()) for (const uid of uids) copies[uid]!++;
    const { state } = data;
    if (state) {
      const committed = isCommitted(world, state);
      for (const sum of data.segmentCounters.values())
        if (isWaiting(state, sum, committed)) for (const uid of sum.uids) copies[uid]!++;
      for (const { number, uid } of data.entries.values())
        if (uid >= 0 && (!committed || number >= state.entryClaimed)) copies[uid]!++;
    }
    for (let uid = 0; uid < this.users.asked.length; uid++) {
      const found = copies[uid]!;
      if (found === data.accepted[uid] && !this.#lost) continue;
      const { gone, discarded, happened } = this.restores;
      const isTaken = gone[uid] || discarded[uid];
      const least = isTaken ? 0 : data.accepted[uid]!;
      const isExposed = this.#exposed[uid] && data.accepted[uid] && (!barrier || happened);
      const most = isExposed ? 2 : this.#accepted[uid]!;
      if (found < least) fail(`update ${uid} is nowhere`);
      if (found > most) fail(`update ${uid} exists ${found} times`);
    }
    if (this.restores.discardedAny) this.#checkDeclared(world, this.restores.taken);
  }

  #checkDeclared(world: World, lost: number): void {
    const declared = this.restores.declared(world, 'lost');
    if (lost > declared) fail(`a restore or its recovery took ${lost} updates, ${declared} are declared`);
  }

  #checkLive(world: World): void {
    const { data } = world.redis;
    const { state, liveYoung, liveOld } = data;
    for (const field of liveOld.keys()) if (liveYoung.has(field)) fail(`${field} is live twice`);
    if (!state) return;
    if (this.#isStale(world)) return;
    for (const { kind, item } of this.users.keys) {
      const found = liveYoung.get(kind + item) ?? liveOld.get(kind + item);
      if (!found || this.#isToBeDeleted(world, item)) continue;
      const expected = this.#sumOf(world, kind, item);
      if (found.value !== expected) fail(`live value of ${item} is ${found.value}, not ${expected}`);
    }
  }

  /** After a loss, live values stay as old as what is left until their epoch ends. */
  #isStale({ redis: { data }, barrier }: World): boolean {
    if (!this.#lost || data.state?.epoch !== this.#lossEpoch) return false;
    return (!this.#noticed || this.restores.happened) && (!barrier || this.restores.happened);
  }

  /** A rotation ends these values, whose last use must be a live TTL ago. */
  onEnded({ now, liveTtlMs }: World, ended: ReadonlyMap<string, Live>): void {
    for (const [field, { usedAt }] of ended)
      if (now - usedAt < liveTtlMs) fail(`${field} ends ${now - usedAt} ms after its last use`);
  }

  /** Whether a commit left out a late duplicate whose acknowledgement has yet to delete the live value. */
  #isToBeDeleted(world: World, item: string): boolean {
    const { state } = world.redis.data;
    const late = state && world.mysql.journal.get(state.token)?.outcome.late;
    return late?.some(one => one.item === item) ?? false;
  }

  /** MySQL + quarantine + in flight and not committed + pending. */
  #sumOf(world: World, kind: 'c' | 'p', item: string): number {
    const { data } = world.redis;
    const { values, aside } = world.mysql;
    const inMysql = (values.get(item) ?? 0) + (aside.get(item) ?? 0);
    const { state } = data;
    if (!state) return inMysql;
    const committed = isCommitted(world, state);
    if (kind === 'c') {
      const segment = data.segmentCounters.get(item);
      const waiting = segment && isWaiting(state, segment, committed) ? segment.sum : 0;
      return inMysql + waiting + (data.counters.get(item)?.sum ?? 0);
    }
    const missing = [...data.entries.values()].filter(
      entry => entry.item === item && (!committed || entry.number >= state.entryClaimed),
    );
    return inMysql + sumUp(world.mysql, missing);
  }

  /** At the end, when nothing is pending: every acknowledged update is in MySQL or in quarantine, once. */
  checkEnd(world: World): void {
    const { values, ledger, written, quarantined } = world.mysql;
    const sums = new Map<string, number>();
    const entries = new Map<string, number>();
    let doubled = false;
    let doubles = 0;
    for (const { uid, identity, update } of this.users.asked) {
      const times = written[uid]!;
      if (times === 0 && quarantined[uid] === 0) continue;
      if (update.kind === 'c' && times > 1) doubled = true;
      if (update.kind === 'c') doubles += Math.max(0, times - 1);
      sums.set(update.item, (sums.get(update.item) ?? 0) + times * update.amount);
      if (update.kind === 'c') continue;
      const count = times + quarantined[uid]!;
      entries.set(`${identity}`, (entries.get(`${identity}`) ?? 0) + count);
    }
    for (const [item, sum] of sums)
      if (sum !== (values.get(item) ?? 0)) fail(`${item} is ${values.get(item)} in MySQL, not ${sum}`);
    for (const [identity, count] of entries) if (count > 1) fail(`id ${identity} counts ${count} times`);
    for (const [item, value] of values) {
      if (!item.startsWith('loyalty:')) continue;
      const total = ledger.reduce((sum, row) => sum + (row.item === item ? row.amount : 0), 0);
      if (total !== value) fail(`the ledger of ${item} sums up to ${total}, its balance is ${value}`);
    }
    const ended = world.redis.data.state?.ended ?? '';
    const declared = [...ended.matchAll(/\S+ \S+ (\S+)/g)].reduce((sum, [, lost]) => sum + Number(lost), 0);
    for (const { process, life, seen, updates } of this.#knowing) {
      const { incarnation } = process.seen;
      // The producer has lived on and has made a call since the loss.
      const told = process.life === life && incarnation !== '' && incarnation !== seen.incarnation;
      if (told && updates > declared)
        fail(`${process.name} knew of ${updates} lost updates, ${declared} are declared`);
    }
    this.#checkCopies(world);
    this.#checkDeclared(world, this.restores.lost(this.#copies));
    const declaredTwice = this.restores.declared(world, 'doubled');
    if (doubles > declaredTwice) fail(`${doubles} updates count twice, ${declaredTwice} are declared`);
    if (doubled && !this.restores.recovered && world.counted.rewinds + world.counted.unheard === 0)
      fail('counters count twice after a loss, and no rewind was counted');
  }
}

/** Whether MySQL has the batch in flight. Only a batch renumbered by a recovery may be written again. */
function isCommitted({ mysql, checker }: World, { token, sequence }: State): boolean {
  if (!mysql.committed.has(token)) return false;
  return !checker.restores.recovered || sequence <= mysql.watermark.sequence;
}

/** Whether a segment's counter is unclaimed, or in flight and not committed. */
function isWaiting(state: State, { number }: Sum, committed: boolean): boolean {
  const inFlight = state.token !== '' && number >= state.flightFrom && number < state.flightTo;
  return number >= state.popped || (inFlight && !committed);
}

/** Sum of pending entries, without those that MySQL already has, and with one drop per quarantined row. */
function sumUp(mysql: Mysql, entries: readonly Entry[]): number {
  const dropped = new Set<number>();
  let sum = 0;
  for (const { amount, drops, uid } of entries) {
    if (mysql.written[uid] || mysql.quarantined[uid] || mysql.leftOut[uid]) continue;
    if (drops && (dropped.has(drops.row) || !mysql.refused.some(({ row }) => row === drops.row))) continue;
    if (drops) dropped.add(drops.row);
    sum += amount;
  }
  return sum;
}

export function fail(what: string): never {
  throw new Violation(what);
}
