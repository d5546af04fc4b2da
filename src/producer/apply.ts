/**
 * Sends updates to Redis in micro-batches. A partition has one call under way at a time, and updates that
 * arrive meanwhile go with the next: batches grow with the load, and one producer's calls keep their order.
 */
import type { Logger } from 'pino';
import { type Clock, pause, within } from '../shared/clock.ts';
import type { Settings } from '../shared/config/settings.ts';
import {
  BackpressureError,
  ProducerOverloadedError,
  RedisUnavailableError,
  UnknownOutcomeError,
} from '../shared/errors.ts';
import type { Durability } from '../shared/redis/durability.ts';
import type { Keys } from '../shared/redis/keys.ts';
import { REQUEST_BYTES } from '../shared/redis/reply-size.ts';
import type { CheckedUpdate } from '../shared/updates/update.ts';
import type { ApplyCall } from './apply-call.ts';
import {
  type ApplyReply,
  encodeGroups,
  type Group,
  groupUpdates,
  lackOf,
  OUT_OF_RANGE,
  refusal,
  requestBytes,
  weightOf,
  weightOfUpdate,
} from './micro-batch.ts';
import { allLate, type Caller, type LoadFailures, type Mark, type Unsettled, Waiting } from './waiting.ts';

export interface ApplyParts {
  readonly address: string;
  readonly call: ApplyCall;
  readonly keys: Keys;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly log: Logger;
  /** Makes live what these updates lack. */
  readonly load: (
    partition: number,
    updates: readonly Pick<Waiting, 'update' | 'lacks'>[],
  ) => Promise<LoadFailures>;
  /** Schedules a wake-up of the partition's flush. */
  readonly wake: (partition: number) => void;
  /** Called after each answered call. */
  readonly onApplied?: (updates: number, ms: number) => void;
}

interface Buffer extends Unsettled {
  waiting: Waiting[];
  sending: boolean;
  /**
   * By kind and item: updates whose account or hold is being loaded, or that wait for room, with those behind them.
   * They go first later.
   */
  parked: Map<string, Waiting[]>;
}

/** How often an update that waits for room is sent again, ms. */
const ROOM_POLL_MS = 200;
const MAX_TRIES = 3;

export class Applier {
  readonly #parts: ApplyParts;
  readonly #buffers: Buffer[];
  readonly #due = new Set<number>();
  #scheduled = false;
  #unsettled = 0;
  #idle: (() => void)[] = [];

  constructor(parts: ApplyParts) {
    this.#parts = parts;
    const onSettled = () => {
      if (--this.#unsettled === 0) for (const resolve of this.#idle.splice(0)) resolve();
    };
    this.#buffers = Array.from({ length: parts.keys.partitions }, () => ({
      waiting: [],
      sending: false,
      unsettled: 0,
      parked: new Map(),
      onSettled,
    }));
  }

  /** Updates that are not settled yet. */
  get buffered(): number {
    return this.#unsettled;
  }

  /** @param index of the update in its caller's call */
  add(update: CheckedUpdate, durability: Durability, caller: Caller, index: number): void {
    const { keys, settings, clock } = this.#parts;
    const partition = keys.partitionOf(update.key);
    const buffer = this.#buffers[partition]!;
    if (buffer.unsettled >= settings.bufferLimit) {
      caller.refused(index, new ProducerOverloadedError(settings.bufferLimit));
      return;
    }
    buffer.unsettled++;
    this.#unsettled++;
    const until = clock.now() + settings.callTimeoutMs;
    buffer.waiting.push(new Waiting(update, durability, until, caller, index, buffer));
    if (!buffer.sending) this.#schedule(partition);
  }

  /** Resolves once no update is unsettled. */
  async drained(): Promise<void> {
    if (this.#unsettled > 0) await new Promise<void>(resolve => this.#idle.push(resolve));
  }

  /** Sends at the end of this turn of the event loop, so that calls made together go together. */
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
      const taken = this.#take(buffer);
      const now = this.#parts.clock.now();
      const batch = taken.filter(
        waiting => !this.#hasExpired(waiting, now) && !this.#joinParked(buffer, waiting),
      );
      if (batch.length > 0) await this.#send(partition, batch);
    }
    buffer.sending = false;
  }

  /** Takes a micro-batch from the head of the buffer: one durability, and short enough for one request. */
  #take(buffer: Buffer): Waiting[] {
    const { waiting } = buffer;
    const { durability } = waiting[0]!;
    let size = 0;
    let bytes = REQUEST_BYTES;
    for (let room = this.#parts.settings.microBatch; size < waiting.length; size++) {
      const next = waiting[size]!;
      room -= weightOfUpdate(next.update);
      bytes -= requestBytes(next.update);
      if (((room < 0 || bytes < 0) && size > 0) || next.durability !== durability) break;
    }
    buffer.waiting = size === waiting.length ? [] : waiting.slice(size);
    return size === waiting.length ? waiting : waiting.slice(0, size);
  }

  /** Refuses an update whose time ran out while earlier calls were under way. */
  #hasExpired(waiting: Waiting, now: number): boolean {
    if (waiting.until > now) return false;
    waiting.refuse(new RedisUnavailableError(this.#parts.address));
    return true;
  }

  /** Parks an update behind earlier parked ones of its item. */
  #joinParked(buffer: Buffer, waiting: Waiting): boolean {
    if (buffer.parked.size === 0) return false;
    const parked = buffer.parked.get(parkingKey(waiting));
    parked?.push(waiting);
    return parked !== undefined;
  }

  /** Never rejects. Afterwards each update of the batch is settled, parked or back in the buffer. */
  async #send(partition: number, batch: Waiting[]): Promise<void> {
    const groups = groupUpdates(batch);
    const sent = this.#parts.clock.now();
    let reply: ApplyReply;
    try {
      const { durability } = batch[0]!;
      const updates = encodeGroups(groups);
      reply = await this.#parts.call.run({ partition, updates, weight: weightOf(groups), durability });
      if (reply.results.length !== groups.length) throw new UnknownOutcomeError();
    } catch (error) {
      for (const waiting of batch) waiting.refuse(error as Error);
      return;
    }
    this.#parts.onApplied?.(batch.length, this.#parts.clock.now() - sent);
    const mark: Mark = { partition, ...reply };
    if (reply.armed) this.#parts.wake(partition);
    const resend: Waiting[] = [];
    const cold = new Map<string, Waiting[]>();
    for (const [index, group] of groups.entries())
      this.#onResult(partition, group, reply.results[index]!, mark, resend, cold);
    const buffer = this.#buffers[partition]!;
    if (resend.length > 0) buffer.waiting = resend.concat(buffer.waiting);
    if (cold.size > 0) void this.#load(partition, cold);
  }

  #onResult(
    partition: number,
    group: Group<Waiting>,
    token: string,
    mark: Mark,
    resend: Waiting[],
    cold: Map<string, Waiting[]>,
  ): void {
    const first = group.members[0]!;
    const lack = lackOf(token);
    if (token === OUT_OF_RANGE && group.members.length > 1) {
      // Only the sum is known to be out of range, not each part of it.
      for (const member of group.members) {
        member.alone = true;
        resend.push(member);
      }
    } else if (lack !== undefined) {
      first.lacks = lack;
      if (lack !== 'nothing' && ++first.loads > MAX_TRIES) {
        first.refuse(new RedisUnavailableError(`${this.#parts.address} (an account does not stay live)`));
        return;
      }
      const others = cold.get(parkingKey(first));
      if (others) others.push(first);
      else cold.set(parkingKey(first), [first]);
    } else {
      const refused = refusal(token, first.update);
      if (refused instanceof BackpressureError && first.update.waits)
        this.#parkForRoom(partition, group, refused);
      else if (refused) for (const member of group.members) member.refuse(refused);
      else group.accept(token, mark);
    }
  }

  /** Parks the updates that may still wait for room; refuses the others. */
  #parkForRoom(partition: number, group: Group<Waiting>, refused: BackpressureError): void {
    const { clock, settings } = this.#parts;
    const now = clock.now();
    const staying: Waiting[] = [];
    for (const member of group.members) {
      member.roomUntil ??= now + settings.backpressureWaitMs;
      if (now >= member.roomUntil) member.refuse(refused);
      else staying.push(member);
    }
    if (staying.length === 0) return;
    const { parked } = this.#buffers[partition]!;
    const key = parkingKey(staying[0]!);
    const others = parked.get(key);
    if (others) others.push(...staying);
    else {
      parked.set(key, staying);
      void pause(ROOM_POLL_MS).then(() => this.#unpark(partition, key));
    }
  }

  async #load(partition: number, cold: Map<string, Waiting[]>): Promise<void> {
    const { parked } = this.#buffers[partition]!;
    // Later updates of the same account may wait for room already.
    for (const [key, waiting] of cold) parked.set(key, waiting.concat(parked.get(key) ?? []));
    // Several updates of an account may need the records of other holds.
    const lacking = [...cold.values()].flat().filter(({ lacks }) => lacks !== 'nothing');
    const loaded = this.#parts.load(partition, lacking);
    const failures = (await within(loaded, this.#parts.settings.callTimeoutMs)) ?? allLate(lacking);
    for (const [key, waiting] of cold) {
      const ofAccount = failures.accounts.get(waiting[0]!.update.item);
      this.#unpark(partition, key, ({ update }) => ofAccount ?? failures.holds.get(update));
    }
  }

  /** Sends parked updates ahead of all later ones, in their order, except those that are refused. */
  #unpark(
    partition: number,
    key: string,
    failureOf: (waiting: Waiting) => Error | undefined = () => undefined,
  ): void {
    const buffer = this.#buffers[partition]!;
    const parked = buffer.parked.get(key) ?? [];
    buffer.parked.delete(key);
    const until = this.#parts.clock.now() + this.#parts.settings.callTimeoutMs;
    const staying = parked.filter(waiting => {
      const failure = failureOf(waiting);
      if (failure) waiting.refuse(failure);
      else waiting.until = until;
      return !failure;
    });
    if (staying.length === 0) return;
    buffer.waiting = staying.concat(buffer.waiting);
    if (!buffer.sending) this.#schedule(partition);
  }
}

function parkingKey({ update }: Waiting): string {
  return update.kind + update.item;
}
