/**
 * Sends updates to Redis in micro-batches. Per partition one call is under way at a time; what arrives meanwhile goes
 * with the next, so batches grow with the load and the order of one producer's calls is kept.
 *
 * Every call carries a request id, because a lost connection makes ioredis send it again, and a deadline on Redis'
 * clock, after which Redis refuses it: an outcome is unknown for a bounded time only.
 */
import type { Logger } from 'pino';
import type { Aligner } from '../shared/align.ts';
import { type Clock, randomToken } from '../shared/clock.ts';
import {
  ProducerOverloadedError,
  RedisOutOfMemoryError,
  RedisUnavailableError,
  type SluiceError,
  UnknownOutcomeError,
} from '../shared/errors.ts';
import type { Keys } from '../shared/keys.ts';
import { databaseError } from '../shared/mysql.ts';
import { defineScript, type RedisConnection, redisError, replyCode, type Script } from '../shared/redis.ts';
import type { Settings } from '../shared/settings.ts';
import type { CheckedUpdate } from '../shared/update.ts';
import {
  type ApplyReply,
  encodeGroups,
  type Group,
  groupUpdates,
  parseReply,
  refusal,
} from './micro-batch.ts';

/** Where the partition stood right after an update was accepted; `persisted()` waits for it to be passed. */
export interface Mark {
  readonly partition: number;
  readonly epoch: string;
  readonly pushed: number;
  readonly entries: number;
  readonly quarantined: number;
  /** Ms of Redis' clock. */
  readonly time: number;
}

export interface Accepted {
  readonly value: number | null;
  readonly duplicate: boolean;
  readonly mark: Mark;
}

export type Settle = (result: Accepted | SluiceError) => void;

export interface Waiting {
  readonly update: CheckedUpdate;
  readonly settle: Settle;
  /** Sent by itself, after a sum that it was part of was refused. */
  alone?: boolean;
  /** How often its account was found cold. */
  loads?: number;
}

export interface ApplyParts {
  readonly redis: RedisConnection;
  readonly place: string;
  readonly keys: Keys;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly log: Logger;
  readonly aligner: Aligner;
  /** Makes accounts live; gives our errors by item for those that it could not. */
  readonly loadAccounts: (
    partition: number,
    updates: readonly CheckedUpdate[],
  ) => Promise<ReadonlyMap<string, SluiceError>>;
  /** Wakes a worker for the partition. */
  readonly wake: (partition: number) => Promise<void>;
}

interface Buffer {
  waiting: Waiting[];
  sending: boolean;
  /** Entries whose account is being read from MySQL; they go first when it is there. */
  loading: Map<string, Waiting[]>;
}

const MAX_TRIES = 3;

export class Applier {
  readonly #parts: ApplyParts;
  readonly #apply: Script<string>;
  readonly #buffers: Buffer[];
  /** Redis' clock less ours, ms, for each partition's primary. */
  readonly #offsets: number[];
  readonly #due = new Set<number>();
  #scheduled = false;
  /** Counts lost connections: only after one can a call have been sent twice. */
  #disconnections = 0;
  #unsettled = 0;
  #idle: (() => void)[] = [];

  constructor(parts: ApplyParts) {
    this.#parts = parts;
    this.#apply = defineScript(parts.redis, 'apply', new URL('./apply.lua', import.meta.url));
    this.#buffers = Array.from({ length: parts.keys.partitions }, () => ({
      waiting: [],
      sending: false,
      loading: new Map(),
    }));
    this.#offsets = new Array(parts.keys.partitions).fill(0);
    for (const event of ['close', 'reconnecting', '-node', 'node error']) {
      parts.redis.on(event as 'close', () => {
        this.#disconnections++;
      });
    }
  }

  /** Learns every primary's clock: a call past its deadline is refused and answers with the time. */
  async synchronize(): Promise<void> {
    await Promise.all(
      this.#buffers.map(async (_, partition) => {
        const sent = this.#parts.clock.now();
        this.#learn(
          partition,
          await this.#apply(this.#parts.keys.state(partition), randomToken(), 0, 1, 1, 1, 1),
          sent,
        );
      }),
    );
  }

  /** Takes one update; `settle` is called exactly once. */
  add(update: CheckedUpdate, settle: Settle): void {
    const partition = this.#parts.keys.partitionOf(update.key);
    const buffer = this.#buffers[partition]!;
    const limit = this.#parts.settings.bufferLimit;
    if (buffer.waiting.length >= limit) {
      settle(new ProducerOverloadedError(limit));
      return;
    }
    this.#unsettled++;
    const counted: Settle = result => {
      settle(result);
      if (--this.#unsettled === 0) for (const resolve of this.#idle.splice(0)) resolve();
    };
    buffer.waiting.push({ update, settle: counted });
    if (!buffer.sending) this.#schedule(partition);
  }

  /** Resolves when everything taken so far is settled. */
  drained(): Promise<void> {
    return this.#unsettled === 0 ? Promise.resolve() : new Promise(resolve => this.#idle.push(resolve));
  }

  /** At the end of this turn of the event loop, so that calls made together go together. */
  #schedule(partition: number): void {
    this.#due.add(partition);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      const due = [...this.#due];
      this.#due.clear();
      for (const next of due) if (!this.#buffers[next]!.sending) void this.#drain(next);
    });
  }

  async #drain(partition: number): Promise<void> {
    const buffer = this.#buffers[partition]!;
    buffer.sending = true;
    while (buffer.waiting.length > 0) {
      const size = this.#parts.settings.microBatch;
      const taken = buffer.waiting.length <= size ? buffer.waiting : buffer.waiting.slice(0, size);
      buffer.waiting = buffer.waiting.length <= size ? [] : buffer.waiting.slice(size);
      const batch =
        buffer.loading.size === 0 ? taken : taken.filter(waiting => !this.#joinLoad(buffer, waiting));
      if (batch.length > 0) await this.#send(partition, batch);
    }
    buffer.sending = false;
  }

  /** An entry of an account that is being loaded waits behind the earlier ones. */
  #joinLoad(buffer: Buffer, waiting: Waiting): boolean {
    const load = waiting.update.kind === 'p' ? buffer.loading.get(waiting.update.item) : undefined;
    load?.push(waiting);
    return load !== undefined;
  }

  async #send(partition: number, batch: Waiting[]): Promise<void> {
    const groups = groupUpdates(batch);
    let reply: ApplyReply;
    try {
      reply = await this.#call(partition, groups);
    } catch (error) {
      for (const waiting of batch) waiting.settle(error as SluiceError);
      return;
    }
    const mark: Mark = { partition, ...reply };
    if (reply.armed) this.#wake(partition);
    const again: Waiting[] = [];
    const cold = new Map<string, Waiting[]>();
    for (const [at, group] of groups.entries()) this.#settle(group, reply.results[at]!, mark, again, cold);
    const buffer = this.#buffers[partition]!;
    if (again.length > 0) buffer.waiting = again.concat(buffer.waiting);
    if (cold.size > 0) void this.#load(partition, cold);
  }

  #settle(group: Group, token: string, mark: Mark, again: Waiting[], cold: Map<string, Waiting[]>): void {
    const first = group.members[0]!;
    if (token === 'x' && group.members.length > 1) {
      // The sum was refused, not each of its parts.
      for (const member of group.members) again.push({ ...member, alone: true });
    } else if (token === 'n') {
      const loads = (first.loads ?? 0) + 1;
      if (loads > MAX_TRIES) {
        first.settle(new RedisUnavailableError(`${this.#parts.place} (an account does not stay live)`));
        return;
      }
      const item = first.update.item;
      const waiting = { ...first, loads };
      const others = cold.get(item);
      if (others) others.push(waiting);
      else cold.set(item, [waiting]);
    } else {
      const refused = refusal(token, first.update);
      if (refused) for (const member of group.members) member.settle(refused);
      else group.settle(token, mark);
    }
  }

  async #load(partition: number, cold: Map<string, Waiting[]>): Promise<void> {
    const buffer = this.#buffers[partition]!;
    for (const [item, waiting] of cold) buffer.loading.set(item, waiting);
    const updates = [...cold.values()].map(waiting => waiting[0]!.update);
    const failures = await this.#parts.loadAccounts(partition, updates);
    for (const [item, waiting] of cold) {
      buffer.loading.delete(item);
      const failure = failures.get(item);
      if (failure) for (const { settle } of waiting) settle(failure);
      else buffer.waiting = waiting.concat(buffer.waiting);
    }
    if (buffer.waiting.length > 0 && !buffer.sending) this.#schedule(partition);
  }

  /** One script call with everything around it. @throws SluiceError */
  async #call(partition: number, groups: readonly Group[]): Promise<ApplyReply> {
    const { settings, keys, clock } = this.#parts;
    const until = clock.now() + settings.callTimeoutMs;
    const requestId = randomToken();
    const updates = encodeGroups(groups);
    let failure: SluiceError | undefined;
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      await this.#ready(until);
      const before = this.#disconnections;
      const sent = clock.now();
      const deadline = Math.floor(until + this.#offsets[partition]!);
      const text = await this.#within(
        until,
        this.#apply(
          keys.state(partition),
          requestId,
          deadline,
          settings.leaseMs,
          settings.liveTtlMs,
          settings.idempotencyWindowMs,
          settings.idempotencyLimit,
          ...updates,
        ),
      );
      const reply = parseReply(text);
      if (reply.status === 'ok') return reply;
      this.#learn(partition, text, sent);
      if (reply.status === 'absent') {
        failure = new RedisUnavailableError(`${this.#parts.place} (partition ${partition} has no state)`);
        await this.#parts.aligner.align(partition).catch(error => {
          throw databaseError(error, 'MySQL');
        });
      } else if (before !== this.#disconnections) {
        throw new UnknownOutcomeError();
      } else {
        // Refused, and sent only once, so not applied. Where there is time left, Redis' clock was set: try with its time.
        failure = new RedisUnavailableError(this.#parts.place);
        if (clock.now() >= until) throw failure;
      }
    }
    throw failure!;
  }

  #learn(partition: number, text: string, sent: number): void {
    const time = Number(text.split(' ', 2)[1]);
    this.#offsets[partition] = time - (sent + this.#parts.clock.now()) / 2;
  }

  /** Waits for a usable connection. Nothing was sent yet, so a failure is certain. @throws RedisUnavailableError */
  async #ready(until: number): Promise<void> {
    const { redis, place, clock } = this.#parts;
    if (redis.status === 'ready') return;
    await new Promise<void>((resolve, reject) => {
      const done = (error?: Error) => {
        clearTimeout(timer);
        redis.off('ready', done);
        if (error) reject(error);
        else resolve();
      };
      const timer = setTimeout(
        () => done(new RedisUnavailableError(place)),
        Math.max(1, until - clock.now()),
      );
      redis.on('ready', done);
    });
  }

  /** The script's answer, or the error that its absence means. */
  async #within(until: number, answer: Promise<string>): Promise<string> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      // Redis refuses the call from its deadline on; the margin is for an answer that is on its way.
      timer = setTimeout(() => reject(new UnknownOutcomeError()), until - this.#parts.clock.now() + 100);
    });
    try {
      return await Promise.race([answer, late]);
    } catch (cause) {
      if (cause instanceof UnknownOutcomeError) throw cause;
      const code = replyCode(cause);
      if (code === 'OOM') throw new RedisOutOfMemoryError({ cause });
      // An error that Redis itself answered means that the script did not run.
      throw code ? redisError(cause, this.#parts.place) : new UnknownOutcomeError({ cause });
    } finally {
      clearTimeout(timer);
    }
  }

  #wake(partition: number): void {
    this.#parts.wake(partition).catch(error => {
      this.#parts.log.debug({ partition, err: error }, 'wake-up failed; the sweep will find the partition');
    });
  }
}
