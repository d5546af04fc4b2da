/**
 * Lets the actors take steps in any order and breaks things between any two steps: processes are killed and
 * frozen, requests and answers get lost, calls are sent twice, Redis falls back to its replica.
 */
import { Backups } from './backups.ts';
import type { Faults } from './faults.ts';
import { BLOCKED, closeSession, type Session } from './mysql.ts';
import { copyRedis, endLive } from './redis.ts';
import { loseWakeUp } from './shared-scripts.ts';
import type { Users } from './users.ts';
import {
  type Call,
  DEADLOCK,
  LOST_MYSQL,
  LOST_REDIS,
  type Process,
  type Steps,
  type World,
} from './world.ts';

type Start = (me: Process) => Steps<void>;

class Actor implements Process {
  readonly name: string;
  disconnections = 0;
  life = 0;
  calls = 0;
  seen = { incarnation: '', updates: 0 };
  steps: Steps<void>;
  call: Call | undefined;
  /** The server has answered; the answer is on its way. */
  answer: { value: unknown; error: unknown } | undefined;
  frozenUntil = 0;
  readonly sessions = new Set<Session>();
  readonly start: Start;

  constructor(name: string, start: Start) {
    this.name = name;
    this.start = start;
    this.steps = start(this);
  }
}

export class Scheduler {
  readonly #world: World;
  readonly #users: Users;
  readonly #faults: Faults;
  readonly #trace: ((line: string) => void) | undefined;
  readonly #actors: Actor[];
  /** Requests of killed processes and lost connections that have not arrived yet. */
  readonly #orphans: { call: Call; at: number }[] = [];
  readonly #backups: Backups;
  #losses = 0;

  constructor(
    world: World,
    users: Users,
    faults: Faults,
    starts: ReadonlyMap<string, Start>,
    trace?: (line: string) => void,
  ) {
    this.#world = world;
    this.#users = users;
    this.#faults = faults;
    this.#trace = trace;
    this.#actors = [...starts].map(([name, start]) => new Actor(name, start));
    this.#backups = new Backups(world, faults, line => trace?.(`${this.#time()} ${line}`));
  }

  /** One step of one actor, possibly after a fault. */
  step(): void {
    const { random } = this.#world;
    this.#world.now += random.below(3);
    if (!this.#world.calm) this.#breakSomething();
    if (this.#orphans.length > 0) this.#runOrphans();
    const at = random.below(this.#actors.length);
    for (let offset = 0; offset < this.#actors.length; offset++) {
      const actor = this.#actors[(at + offset) % this.#actors.length]!;
      if (this.#isReady(actor)) {
        this.#advance(actor);
        return;
      }
    }
    this.#world.now = Math.max(this.#world.now + 1, Math.min(...this.#actors.map(dueAt)));
  }

  /** Ends the faults: nothing is frozen any more, and Redis has room. */
  calm(): void {
    this.#world.calm = true;
    this.#world.redis.full = false;
    for (const actor of this.#actors) actor.frozenUntil = 0;
  }

  #isReady(actor: Actor): boolean {
    if (actor.frozenUntil > this.#world.now) return actor.call?.to !== 'time' && actor.answer === undefined;
    return actor.call?.to !== 'time' || actor.call.until! <= this.#world.now;
  }

  #advance(actor: Actor): void {
    const { call } = actor;
    if (!call || call.to === 'time') {
      this.#resume(actor, undefined, undefined);
      return;
    }
    if (!actor.answer && !this.#execute(actor, call)) return;
    if (actor.frozenUntil > this.#world.now) return;
    const answer = actor.answer!;
    // Usually the answer arrives at once; otherwise other steps come before it.
    if (!this.#world.calm && this.#world.random.chance(0.25)) return;
    this.#resume(actor, answer.value, answer.error);
  }

  /** The request arrives at its server; false if it is not answered yet. */
  #execute(actor: Actor, call: Call): boolean {
    const { random, calm } = this.#world;
    const { lost, resend, deadlock } = this.#faults;
    if (!calm && random.chance(lost)) return this.#lose(actor, call, 'before it arrived');
    if (!calm && call.to === 'mysql' && random.chance(deadlock) && call.session!.draft) {
      this.#say(actor, call, 'deadlock');
      closeTransaction(this.#world, call.session!);
      actor.answer = { value: undefined, error: DEADLOCK };
      return true;
    }
    const answer = this.#run(call);
    if (answer.value === BLOCKED) return false;
    this.#say(actor, call, answer);
    if (!calm && call.to === 'redis' && random.chance(resend)) {
      actor.disconnections++;
      this.#trace?.(`        ${actor.name}: connection lost, sends it again`);
      // The request may also arrive again on the old connection, even after the new one was answered.
      if (random.chance(0.3)) this.#orphans.push({ call, at: this.#world.now + random.below(80) });
      return false;
    }
    if (!calm && random.chance(lost)) {
      if (isMending(call)) this.#world.counted.unheard++;
      return this.#lose(actor, call, 'with its answer');
    }
    actor.answer = answer;
    return true;
  }

  #run(call: Call): { value: unknown; error: unknown } {
    let answer: { value: unknown; error: unknown };
    try {
      answer = { value: call.run(), error: undefined };
    } catch (error) {
      if (error instanceof Error) throw error;
      answer = { value: undefined, error };
    }
    if (answer.value !== BLOCKED) this.#world.checker.check(this.#world);
    return answer;
  }

  /** The connection breaks: MySQL rolls back its open transaction, and the actor gets an error. */
  #lose(actor: Actor, call: Call, when: string): boolean {
    this.#trace?.(`        ${actor.name}: connection lost ${when} (${call.name})`);
    if (call.session) closeSession(this.#world.mysql, call.session);
    else actor.disconnections++;
    actor.answer = { value: undefined, error: call.session ? LOST_MYSQL : LOST_REDIS };
    return true;
  }

  #resume(actor: Actor, value: unknown, error: unknown): void {
    actor.answer = undefined;
    const next = error === undefined ? actor.steps.next(value) : actor.steps.throw(error);
    if (next.done) throw new Error(`${actor.name} has ended`);
    actor.call = next.value;
    if (next.value.session) actor.sessions.add(next.value.session);
  }

  #breakSomething(): void {
    const { random, redis, checker } = this.#world;
    const { kill, freeze, evict, full, replicate, lose } = this.#faults;
    if (random.chance(kill)) this.#kill(random.pick(this.#actors));
    if (random.chance(freeze)) {
      const actor = random.pick(this.#actors);
      actor.frozenUntil = this.#world.now + 20 + random.below(200);
      this.#trace?.(`${this.#time()} ${actor.name} is frozen until ${actor.frozenUntil}`);
    }
    if (random.chance(evict)) {
      this.#trace?.(`${this.#time()} live values end`);
      endLive(redis.data);
      checker.check(this.#world);
    }
    if (random.chance(redis.full ? 0.1 : full)) {
      redis.full = !redis.full;
      this.#trace?.(`${this.#time()} Redis is ${redis.full ? 'full' : 'not full any more'}`);
    }
    if (this.#faults.backup > 0) this.#backups.step(this.#actors);
    if (!redis.replica) return;
    if (random.chance(replicate)) redis.replica = copyRedis(redis.data);
    if (this.#losses === 0 && random.chance(lose)) this.#loseTail();
  }

  #kill(actor: Actor): void {
    const { world, delay } = { world: this.#world, delay: this.#world.random.below(80) };
    this.#trace?.(`${this.#time()} ${actor.name} is killed`);
    if (isMending(actor.call) && actor.answer) world.counted.unheard++;
    if (actor.call && actor.call.to !== 'time' && !actor.answer && world.random.chance(0.5))
      this.#orphans.push({ call: actor.call, at: world.now + delay });
    else if (world.random.chance(0.7))
      for (const session of actor.sessions) closeSession(world.mysql, session);
    actor.sessions.clear();
    actor.answer = undefined;
    actor.frozenUntil = 0;
    actor.disconnections++;
    actor.life++;
    actor.seen = { incarnation: '', updates: 0 };
    actor.steps = actor.start(actor);
    actor.call = { to: 'time', name: 'restart', run: () => {}, until: world.now + world.random.below(150) };
    loseWakeUp(world, actor.name);
    this.#users.onProducerGone(world, actor.name);
  }

  /** Requests of dead processes and lost connections still arrive. */
  #runOrphans(): void {
    const at = this.#orphans.findIndex(orphan => orphan.at <= this.#world.now);
    if (at < 0) return;
    const { call } = this.#orphans.splice(at, 1)[0]!;
    const answer = this.#run(call);
    if (isMending(call)) this.#world.counted.unheard++;
    if (answer.value === BLOCKED) this.#orphans.push({ call, at: this.#world.now + 5 });
    else this.#trace?.(`${this.#time()} a request of a lost connection arrives: ${call.name}`);
  }

  /** A failover: Redis becomes what its replica was, and every connection is new. */
  #loseTail(): void {
    const { redis, checker } = this.#world;
    this.#losses++;
    redis.data = copyRedis(redis.replica!);
    redis.run++;
    this.#trace?.(`${this.#time()} Redis loses its tail: sequence ${redis.data.state?.sequence ?? 'none'}`);
    checker.onLoss(this.#world, this.#actors);
    for (const actor of this.#actors) actor.disconnections++;
    checker.check(this.#world);
  }

  #say(actor: Actor, call: Call, answer: unknown): void {
    if (!this.#trace) return;
    const text = JSON.stringify(answer, (_, value) => (typeof value === 'symbol' ? String(value) : value));
    this.#trace(`${this.#time()} ${actor.name}: ${call.name} -> ${text?.slice(0, 300)}`);
  }

  #time(): string {
    return String(this.#world.now).padStart(6);
  }
}

/** Whether the caller counts a rewind when it gets the answer. */
function isMending(call: Call | undefined): boolean {
  return call?.name === 'rewind' || call?.name === 'adopt';
}

function closeTransaction(world: World, session: Session): void {
  // A deadlock rolls back the transaction; the session stays open.
  const open = session.open;
  closeSession(world.mysql, session);
  session.open = open;
}

function dueAt(actor: Actor): number {
  if (actor.frozenUntil > 0 && actor.call?.to !== 'time') return actor.frozenUntil;
  return Math.max(actor.frozenUntil, actor.call?.until ?? 0);
}
