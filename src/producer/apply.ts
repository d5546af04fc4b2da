/**
 * Sends updates to Redis in micro-batches. Per partition one call is under way at a time; what arrives meanwhile goes
 * with the next, so batches grow with the load and the order of one producer's calls is kept.
 *
 * Every call carries a request id, because a lost connection makes ioredis send it again, and a deadline on Redis'
 * clock, after which Redis refuses it: an outcome is unknown for a bounded time only.
 */
import type { Logger } from 'pino';
import { type Clock, randomToken, within } from '../shared/clock.ts';
import {
  DatabaseUnavailableError,
  ProducerOverloadedError,
  RedisUnavailableError,
  type SluiceError,
  UnknownOutcomeError,
} from '../shared/errors.ts';
import type { Keys } from '../shared/keys.ts';
import { defineScript, type RedisConnection, type Script } from '../shared/redis.ts';
import type { Settings } from '../shared/settings.ts';
import type { CheckedUpdate } from '../shared/update.ts';
import type { Calls } from './calls.ts';
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
  /** Of the batch claimed last. */
  readonly sequence: number;
  /** Ms of Redis' clock. */
  readonly time: number;
}

export interface Accepted {
  readonly value: number | null;
  readonly duplicate: boolean;
  readonly mark: Mark;
}

export type Settle = (result: Accepted | Error) => void;

export interface Waiting {
  readonly update: CheckedUpdate;
  readonly settle: Settle;
  /** When it stops waiting to be sent, on the producer's clock, ms. */
  readonly until: number;
  /** Sent by itself, after a sum that it was part of was refused. */
  alone?: boolean;
  /** How often its account was found cold. */
  loads?: number;
}

export interface ApplyParts {
  readonly redis: RedisConnection;
  readonly place: string;
  readonly calls: Calls;
  readonly keys: Keys;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly log: Logger;
  /** Creates a partition's state. Rejects with one of our errors. */
  readonly align: (partition: number) => Promise<void>;
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
  /** Taken and not settled, wherever they wait. */
  unsettled: number;
  /** Entries whose account is being read from MySQL; they go first when it is there. */
  loading: Map<string, Waiting[]>;
}

const MAX_TRIES = 3;

export class Applier {
  readonly #parts: ApplyParts;
  readonly #calls: Calls;
  readonly #apply: Script<string>;
  readonly #buffers: Buffer[];
  /** Redis' clock less ours, ms, for each partition's primary. */
  readonly #offsets: number[];
  readonly #due = new Set<number>();
  readonly #wakes = new Set<Promise<void>>();
  #scheduled = false;
  /** Counts lost connections: only after one can a call have been sent twice. */
  #disconnections = 0;
  #unsettled = 0;
  #idle: (() => void)[] = [];

  constructor(parts: ApplyParts) {
    this.#parts = parts;
    this.#calls = parts.calls;
    this.#apply = defineScript(parts.redis, 'apply', new URL('./apply.lua', import.meta.url));
    this.#buffers = Array.from({ length: parts.keys.partitions }, () => ({
      waiting: [],
      sending: false,
      unsettled: 0,
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
        const text = await this.#apply(this.#parts.keys.state(partition), randomToken(), 0, 1, 1, 1, 1);
        this.#learn(partition, parseReply(text).time, sent);
      }),
    );
  }

  /** Takes one update; `settle` is called exactly once. */
  add(update: CheckedUpdate, settle: Settle): void {
    const { keys, settings, clock } = this.#parts;
    const partition = keys.partitionOf(update.key);
    const buffer = this.#buffers[partition]!;
    if (buffer.unsettled >= settings.bufferLimit) {
      settle(new ProducerOverloadedError(settings.bufferLimit));
      return;
    }
    buffer.unsettled++;
    this.#unsettled++;
    const counted: Settle = result => {
      settle(result);
      buffer.unsettled--;
      if (--this.#unsettled === 0) for (const resolve of this.#idle.splice(0)) resolve();
    };
    buffer.waiting.push({ update, settle: counted, until: clock.now() + settings.callTimeoutMs });
    if (!buffer.sending) this.#schedule(partition);
  }

  /** Resolves when everything taken so far is settled and the wake-ups for it are given. */
  async drained(): Promise<void> {
    if (this.#unsettled > 0) await new Promise<void>(resolve => this.#idle.push(resolve));
    await within(Promise.all(this.#wakes), this.#parts.settings.callTimeoutMs);
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
      const now = this.#parts.clock.now();
      const batch = taken.filter(
        waiting => !this.#hasExpired(waiting, now) && !this.#joinLoad(buffer, waiting),
      );
      if (batch.length > 0) await this.#send(partition, batch);
    }
    buffer.sending = false;
  }

  /** What waited its whole time for earlier calls is refused unsent. */
  #hasExpired(waiting: Waiting, now: number): boolean {
    if (waiting.until > now) return false;
    waiting.settle(new RedisUnavailableError(this.#parts.place));
    return true;
  }

  /** An entry of an account that is being loaded waits behind the earlier ones. */
  #joinLoad(buffer: Buffer, waiting: Waiting): boolean {
    const load = waiting.update.kind === 'p' ? buffer.loading.get(waiting.update.item) : undefined;
    load?.push(waiting);
    return load !== undefined;
  }

  /** Never rejects: whatever goes wrong, every update of the batch is settled or waits to be sent again. */
  async #send(partition: number, batch: Waiting[]): Promise<void> {
    const groups = groupUpdates(batch);
    let reply: ApplyReply;
    try {
      reply = await this.#call(partition, groups);
      if (reply.results.length !== groups.length) throw new UnknownOutcomeError();
    } catch (error) {
      for (const waiting of batch) waiting.settle(error as Error);
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
    const timeout = this.#parts.settings.callTimeoutMs;
    const failures = await within(this.#parts.loadAccounts(partition, updates), timeout);
    const until = this.#parts.clock.now() + timeout;
    for (const [item, waiting] of cold) {
      buffer.loading.delete(item);
      const failure = failures
        ? failures.get(item)
        : new DatabaseUnavailableError('an account that is not live');
      if (failure) for (const { settle } of waiting) settle(failure);
      else buffer.waiting = waiting.map(entry => ({ ...entry, until })).concat(buffer.waiting);
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
      await this.#calls.ready(until);
      const before = this.#disconnections;
      const sent = clock.now();
      const deadline = Math.floor(until + this.#offsets[partition]!);
      const text = await this.#calls
        .write(
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
        )
        .catch(error => {
          // After a lost connection the error may answer the second sending, and the first may have been applied.
          throw before === this.#disconnections ? error : new UnknownOutcomeError({ cause: error });
        });
      const reply = parseReply(text);
      this.#learn(partition, reply.time, sent);
      if (reply.status === 'ok') return reply;
      if (reply.status === 'absent') {
        failure = new RedisUnavailableError(`${this.#parts.place} (partition ${partition} has no state)`);
        await this.#parts.align(partition);
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

  #learn(partition: number, time: number, sent: number): void {
    this.#offsets[partition] = time - (sent + this.#parts.clock.now()) / 2;
  }

  #wake(partition: number): void {
    const wake = this.#parts
      .wake(partition)
      .catch(error => {
        this.#parts.log.debug({ partition, err: error }, 'wake-up failed; the sweep will find the partition');
      })
      .finally(() => this.#wakes.delete(wake));
    this.#wakes.add(wake);
  }
}
