/**
 * One call of apply.lua and its safeguards:
 * - a number, since ioredis sends a call again after a lost connection
 * - a deadline on Redis' clock, after which Redis refuses the call, so that an outcome is unknown for a
 *   bounded time only
 * - the last answer of Redis, from which Redis finds out what it has lost
 * - the barrier, if the caller asks for more than memory
 */

import { type Clock, pause, randomToken } from '../shared/clock.ts';
import type { Settings } from '../shared/config/settings.ts';
import {
  NotDurableError,
  RedisUnavailableError,
  type SluiceError,
  UnknownOutcomeError,
} from '../shared/errors.ts';
import type { Barrier } from '../shared/redis/barrier.ts';
import type { RedisConnection } from '../shared/redis/connections.ts';
import { type Durability, findLack, lackAtCall } from '../shared/redis/durability.ts';
import type { Keys } from '../shared/redis/keys.ts';
import type { StateField } from '../shared/redis/layout.ts';
import type { MemoryWatch } from '../shared/redis/memory-watch.ts';
import { defineScript, type Script, type ScriptArguments, type ScriptCall } from '../shared/redis/script.ts';
import type { Calls } from './calls.ts';
import { type ApplyReply, parseReply } from './micro-batch.ts';
import { checkedReply, SharedCalls } from './shared-calls.ts';

export interface ApplyCallParts {
  readonly redis: RedisConnection;
  readonly address: string;
  readonly calls: Calls;
  readonly keys: Keys;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly barrier: Barrier;
  readonly memory: MemoryWatch;
  /** Creates a partition's state. Rejects with one of our errors. */
  readonly align: (partition: number) => Promise<void>;
  /** Called if Redis lost updates that it had acknowledged to this producer. */
  readonly onLost: (partition: number, updates: number) => void;
}

/** Last answer of a partition: its incarnation of Redis ('' before any) and its count of updates. */
type Seen = Pick<ApplyReply, 'incarnation' | 'updates'>;

/** Makes one call of a partition at a time. Redis knows its last one and refuses an earlier one after it. */
interface CallerId {
  readonly id: string;
  /** Number of the last call. */
  number: number;
}

const MAX_TRIES = 3;
const LANE_PAUSE_MS = 50;
const CONFIRM_MARGIN_MS = 250;
const BARRIERS: StateField = 'barriers';

/** Updates of one partition that go together. */
export interface MicroBatch {
  readonly partition: number;
  /** From `encodeGroups`. */
  readonly updates: string;
  /** From `weightOf`. */
  readonly weight: number;
  readonly durability: Durability;
}

interface Call extends CallerId {
  /** Ms of Redis' clock. */
  readonly deadline: number;
  readonly seen: Seen;
  /** From `encodeGroups`. */
  readonly updates: string;
}

/** The arguments of apply.lua that its partitions share; see there. */
export function sharedArguments(deployment: string, settings: Settings): ScriptArguments {
  const { leaseMs, idempotencyWindowMs } = settings;
  const { idempotencyLimit, pendingKeysLimit, pendingEntriesLimit, pendingAgeLimitMs } = settings;
  return [
    ...[deployment, leaseMs, idempotencyWindowMs],
    ...[idempotencyLimit, pendingKeysLimit, pendingEntriesLimit, pendingAgeLimitMs],
  ];
}

/** The arguments of apply.lua for one partition; see there. */
export function partArguments(
  { id, number, deadline, seen, updates }: Call,
  isMemoryOver: boolean,
): ScriptArguments {
  return [id, number, deadline, seen.incarnation, seen.updates, updates, isMemoryOver ? 1 : 0];
}

export class ApplyCall {
  readonly #parts: ApplyCallParts;
  readonly #apply: Script<string[]>;
  readonly #shared: ScriptArguments;
  readonly #sharedCalls: SharedCalls;
  /** By partition: the clock of its primary minus the producer's clock, ms. */
  readonly #offsets: number[];
  /** By partition: callers without a call under way. Mostly one; amendments run several calls at once. */
  readonly #idle: CallerId[][];
  /** By partition. */
  readonly #seen: Seen[];
  readonly #suitable = new Map<Durability, Promise<void>>();
  /** Count of lost connections: a call can be sent twice only after one. */
  #disconnections = 0;

  constructor(parts: ApplyCallParts) {
    this.#parts = parts;
    this.#apply = defineScript(parts.redis, 'apply', new URL('./apply.lua', import.meta.url));
    this.#shared = sharedArguments(parts.keys.owner, parts.settings);
    this.#sharedCalls = new SharedCalls(this.#apply, parts.calls, this.#shared, parts.settings.microBatch);
    this.#offsets = new Array(parts.keys.partitions).fill(0);
    this.#idle = Array.from({ length: parts.keys.partitions }, () => []);
    this.#seen = Array.from({ length: parts.keys.partitions }, () => ({ incarnation: '', updates: 0 }));
    for (const event of ['close', 'reconnecting', '-node', 'node error']) {
      parts.redis.on(event as 'close', () => {
        this.#disconnections++;
      });
    }
  }

  /** Learns the clock of each primary: the refusal of a call after its deadline has the time. */
  async synchronize(): Promise<void> {
    await Promise.all(
      this.#offsets.map(async (_, partition) => {
        const sent = this.#parts.clock.now();
        const args = await this.#arguments(partition, { id: randomToken(), number: 0 }, 0, '[]');
        const replies = await this.#apply(this.#parts.keys.state(partition), ...this.#shared, ...args);
        this.#learn(partition, parseReply(checkedReply(replies)).time, sent);
      }),
    );
  }

  /**
   * Applies a micro-batch.
   * @throws UnknownOutcomeError, NotDurableError, TooFewReplicasError, RedisUnavailableError,
   * RedisOutOfMemoryError, RedisUnsuitableError, AccessDeniedError, and the errors of `align`
   */
  async run(batch: MicroBatch): Promise<ApplyReply> {
    const until = this.#parts.clock.now() + this.#parts.settings.callTimeoutMs;
    await this.#checkSuitable(batch.durability);
    const idle = this.#idle[batch.partition]!;
    const caller = idle.pop() ?? { id: randomToken(), number: 0 };
    caller.number++;
    try {
      return await this.#run(batch, caller, until);
    } finally {
      idle.push(caller);
    }
  }

  async #run(batch: MicroBatch, caller: CallerId, until: number): Promise<ApplyReply> {
    const { clock, calls, address, align } = this.#parts;
    const { partition } = batch;
    let failure: SluiceError | undefined;
    let sentOnce = true;
    const sentAgain = () => {
      sentOnce = false;
    };
    try {
      for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
        await calls.ready(until);
        const before = this.#disconnections;
        const sent = clock.now();
        const args = await this.#arguments(partition, caller, until, batch.updates);
        const reply = await this.#send(batch, args, until, attempt, sentAgain).finally(() => {
          if (before !== this.#disconnections) sentAgain();
        });
        this.#learn(partition, reply.time, sent);
        if (reply.status === 'ok') return this.#note(partition, reply);
        if (reply.status === 'absent') {
          failure = new RedisUnavailableError(`${address} (partition ${partition} has no state)`);
          await align(partition);
        } else {
          failure = new RedisUnavailableError(address);
          // If there is time left, Redis' clock was changed: retry with the new offset.
          if (!sentOnce || clock.now() >= until) break;
        }
      }
      throw failure!;
    } catch (error) {
      // If two copies were sent, one may arrive at any time until the deadline, so no error is certain.
      throw sentOnce || error instanceof NotDurableError ? error : new UnknownOutcomeError({ cause: error });
    }
  }

  async #arguments(
    partition: number,
    caller: CallerId,
    until: number,
    updates: string,
  ): Promise<ScriptArguments> {
    const deadline = Math.floor(until + this.#offsets[partition]!);
    const call = { ...caller, deadline, seen: this.#seen[partition]!, updates };
    return partArguments(call, await this.#parts.memory.isOver(partition));
  }

  /** Sends the call: together with other partitions' if possible, or on a lane with the barrier after it. */
  async #send(
    { partition, durability, weight }: MicroBatch,
    args: ScriptArguments,
    until: number,
    attempt: number,
    sentAgain: () => void,
  ): Promise<ApplyReply> {
    const { calls, keys } = this.#parts;
    const stateKey = keys.state(partition);
    // Calls with different deadlines must not wait for each other.
    if (durability === 'memory' && attempt === 0)
      return parseReply(await this.#sharedCalls.run({ stateKey, args, weight, until }));
    const apply = async (call: ScriptCall<string[]>) =>
      parseReply(checkedReply(await call(stateKey, ...this.#shared, ...args)));
    if (durability === 'memory') return calls.write(until, apply(this.#apply));
    const confirmed = (ms: number, onApplied: () => void) =>
      this.#parts.barrier.run(partition, durability, ms, async lane => {
        const reply = await apply(this.#apply.on(lane));
        if (reply.status !== 'ok') return reply;
        onApplied();
        // A repeated call, or one with known ids only, wrote nothing for WAIT to wait for.
        await lane.hincrby(stateKey, BARRIERS, 1);
        return reply;
      });
    return this.#confirm(durability, until, sentAgain, confirmed);
  }

  /** @param send makes the call with its barrier, which waits so many ms at most */
  async #confirm(
    durability: Durability,
    until: number,
    sentAgain: () => void,
    send: (ms: number, onApplied: () => void) => Promise<{ answer: ApplyReply; confirmed: boolean }>,
  ): Promise<ApplyReply> {
    const { calls, clock } = this.#parts;
    // Then no later error proves that the updates were not applied.
    let mayBeApplied = false;
    const onApplied = () => {
      mayBeApplied = true;
    };
    for (;;) {
      const left = until - clock.now();
      // Ends before the call does, so that the call can report an update that is applied and not confirmed.
      const sent = send(Math.max(left / 2, left - CONFIRM_MARGIN_MS), onApplied);
      try {
        const { answer, confirmed } = await calls.write(until, sent);
        if (!confirmed && answer.status === 'ok') throw new NotDurableError(durability);
        return answer;
      } catch (error) {
        // If the lane broke, the same call sent again gets the result, as long as there is time.
        mayBeApplied ||= error instanceof UnknownOutcomeError;
        const broke = error instanceof UnknownOutcomeError || error instanceof RedisUnavailableError;
        if (!broke || clock.now() + LANE_PAUSE_MS >= until) {
          if (!mayBeApplied || error instanceof NotDurableError) throw error;
          throw new UnknownOutcomeError({ cause: error });
        }
        sentAgain();
        await pause(LANE_PAUSE_MS);
      }
    }
  }

  #note(partition: number, reply: ApplyReply): ApplyReply {
    const seen = this.#seen[partition]!;
    // A remembered reply may be older than the last one.
    if (reply.incarnation !== seen.incarnation || reply.updates > seen.updates)
      this.#seen[partition] = { incarnation: reply.incarnation, updates: reply.updates };
    if (reply.lost > 0) this.#parts.onLost(partition, reply.lost);
    return reply;
  }

  /** Checks each durability until the servers could give it once; later the barrier tells. Sends no update. */
  async #checkSuitable(durability: Durability): Promise<void> {
    if (durability === 'memory') return;
    const check = this.#suitable.get(durability) ?? this.#refuseLack(durability);
    this.#suitable.set(durability, check);
    try {
      await check;
    } catch (error) {
      this.#suitable.delete(durability);
      throw error;
    }
  }

  async #refuseLack(durability: Durability): Promise<void> {
    const { redis, address, calls, settings } = this.#parts;
    const { callTimeoutMs, barrierReplicas } = settings;
    const lack = await calls.read(callTimeoutMs, () => findLack(redis, durability, barrierReplicas));
    if (lack !== undefined) throw lackAtCall(lack, barrierReplicas, address);
  }

  #learn(partition: number, time: number, sent: number): void {
    this.#offsets[partition] = time - (sent + this.#parts.clock.now()) / 2;
  }
}
