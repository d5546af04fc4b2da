/**
 * Sends updates to Redis in micro-batches. Per partition one call is under way at a time; what arrives meanwhile goes
 * with the next, so batches grow with the load and the order of one producer's calls is kept.
 */
import type { Logger } from 'pino';
import { type Clock, pause, within } from '../shared/clock.ts';
import type { Durability } from '../shared/durability.ts';
import {
  BackpressureError,
  DatabaseUnavailableError,
  ProducerOverloadedError,
  RedisUnavailableError,
  type SluiceError,
  UnknownOutcomeError,
} from '../shared/errors.ts';
import type { Keys } from '../shared/keys.ts';
import { REQUEST_BYTES } from '../shared/redis-size.ts';
import type { Settings } from '../shared/settings.ts';
import type { CheckedUpdate } from '../shared/update.ts';
import type { ApplyCall } from './apply-call.ts';
import {
  type ApplyReply,
  ENTRY_WEIGHT,
  encodeGroups,
  type Group,
  groupUpdates,
  refusal,
  requestBytes,
} from './micro-batch.ts';
import { type Caller, type Mark, type Unsettled, Waiting } from './waiting.ts';

export interface ApplyParts {
  readonly place: string;
  readonly call: ApplyCall;
  readonly keys: Keys;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly log: Logger;
  /** Makes accounts live; gives our errors by item for those that it could not. */
  readonly loadAccounts: (
    partition: number,
    updates: readonly CheckedUpdate[],
  ) => Promise<ReadonlyMap<string, SluiceError>>;
  /** Has a worker woken for the partition, soon. */
  readonly wake: (partition: number) => void;
  /** Told of each call that was answered. */
  readonly onApplied?: (updates: number, ms: number) => void;
}

interface Buffer extends Unsettled {
  waiting: Waiting[];
  sending: boolean;
  /** Held back by kind and item: their account is being read from MySQL, or they wait for room. They go first afterwards. */
  held: Map<string, Waiting[]>;
}

/** How often a waiting update asks whether there is room, ms. */
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
      held: new Map(),
      onSettled,
    }));
  }

  /** Updates taken and not settled. */
  get buffered(): number {
    return this.#unsettled;
  }

  /** Takes one update, the caller's number `at`. */
  add(update: CheckedUpdate, durability: Durability, caller: Caller, at: number): void {
    const { keys, settings, clock } = this.#parts;
    const partition = keys.partitionOf(update.key);
    const buffer = this.#buffers[partition]!;
    if (buffer.unsettled >= settings.bufferLimit) {
      caller.refused(at, new ProducerOverloadedError(settings.bufferLimit));
      return;
    }
    buffer.unsettled++;
    this.#unsettled++;
    const until = clock.now() + settings.callTimeoutMs;
    buffer.waiting.push(new Waiting(update, durability, until, caller, at, buffer));
    if (!buffer.sending) this.#schedule(partition);
  }

  /** Resolves when everything taken so far is settled. */
  async drained(): Promise<void> {
    if (this.#unsettled > 0) await new Promise<void>(resolve => this.#idle.push(resolve));
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
      const taken = this.#take(buffer);
      const now = this.#parts.clock.now();
      const batch = taken.filter(
        waiting => !this.#hasExpired(waiting, now) && !this.#joinHeld(buffer, waiting),
      );
      if (batch.length > 0) await this.#send(partition, batch);
    }
    buffer.sending = false;
  }

  /** A micro-batch from the head of the buffer, all of one durability, and short enough for one request. */
  #take(buffer: Buffer): Waiting[] {
    const { waiting } = buffer;
    const { durability } = waiting[0]!;
    let size = 0;
    let bytes = REQUEST_BYTES;
    for (let room = this.#parts.settings.microBatch; size < waiting.length; size++) {
      const next = waiting[size]!;
      room -= next.update.kind === 'p' ? ENTRY_WEIGHT : 1;
      bytes -= requestBytes(next.update);
      if (((room < 0 || bytes < 0) && size > 0) || next.durability !== durability) break;
    }
    buffer.waiting = size === waiting.length ? [] : waiting.slice(size);
    return size === waiting.length ? waiting : waiting.slice(0, size);
  }

  /** What waited its whole time for earlier calls is refused unsent. */
  #hasExpired(waiting: Waiting, now: number): boolean {
    if (waiting.until > now) return false;
    waiting.refuse(new RedisUnavailableError(this.#parts.place));
    return true;
  }

  /** An update waits behind the earlier ones of its item. */
  #joinHeld(buffer: Buffer, waiting: Waiting): boolean {
    if (buffer.held.size === 0) return false;
    const held = buffer.held.get(placeOf(waiting));
    held?.push(waiting);
    return held !== undefined;
  }

  /** Never rejects: whatever goes wrong, every update of the batch is settled or waits to be sent again. */
  async #send(partition: number, batch: Waiting[]): Promise<void> {
    const groups = groupUpdates(batch);
    const sent = this.#parts.clock.now();
    let reply: ApplyReply;
    try {
      reply = await this.#parts.call.run(partition, encodeGroups(groups), batch[0]!.durability);
      if (reply.results.length !== groups.length) throw new UnknownOutcomeError();
    } catch (error) {
      for (const waiting of batch) waiting.refuse(error as Error);
      return;
    }
    this.#parts.onApplied?.(batch.length, this.#parts.clock.now() - sent);
    const mark: Mark = { partition, ...reply };
    if (reply.armed) this.#parts.wake(partition);
    const again: Waiting[] = [];
    const cold = new Map<string, Waiting[]>();
    for (const [at, group] of groups.entries())
      this.#settle(partition, group, reply.results[at]!, mark, again, cold);
    const buffer = this.#buffers[partition]!;
    if (again.length > 0) buffer.waiting = again.concat(buffer.waiting);
    if (cold.size > 0) void this.#load(partition, cold);
  }

  #settle(
    partition: number,
    group: Group<Waiting>,
    token: string,
    mark: Mark,
    again: Waiting[],
    cold: Map<string, Waiting[]>,
  ): void {
    const first = group.members[0]!;
    if (token === 'x' && group.members.length > 1) {
      // The sum was refused, not each of its parts.
      for (const member of group.members) {
        member.alone = true;
        again.push(member);
      }
    } else if (token === 'n') {
      if (++first.loads > MAX_TRIES) {
        first.refuse(new RedisUnavailableError(`${this.#parts.place} (an account does not stay live)`));
        return;
      }
      const others = cold.get(placeOf(first));
      if (others) others.push(first);
      else cold.set(placeOf(first), [first]);
    } else {
      const refused = refusal(token, first.update);
      if (refused instanceof BackpressureError && first.update.waits) this.#await(partition, group, refused);
      else if (refused) for (const member of group.members) member.refuse(refused);
      else group.accept(token, mark);
    }
  }

  /** Tries again while there is time to wait for room. */
  #await(partition: number, group: Group<Waiting>, refused: BackpressureError): void {
    const { clock, settings } = this.#parts;
    const now = clock.now();
    const staying: Waiting[] = [];
    for (const member of group.members) {
      member.patience ??= now + settings.backpressureWaitMs;
      if (now >= member.patience) member.refuse(refused);
      else staying.push(member);
    }
    if (staying.length === 0) return;
    const { held } = this.#buffers[partition]!;
    const place = placeOf(staying[0]!);
    const others = held.get(place);
    if (others) others.push(...staying);
    else {
      held.set(place, staying);
      void pause(ROOM_POLL_MS).then(() => this.#release(partition, place));
    }
  }

  async #load(partition: number, cold: Map<string, Waiting[]>): Promise<void> {
    const { held } = this.#buffers[partition]!;
    // Later ones of the same account may wait for room already.
    for (const [place, waiting] of cold) held.set(place, waiting.concat(held.get(place) ?? []));
    const updates = [...cold.values()].map(waiting => waiting[0]!.update);
    const failures = await within(
      this.#parts.loadAccounts(partition, updates),
      this.#parts.settings.callTimeoutMs,
    );
    for (const [place, waiting] of cold) {
      const failure = failures
        ? failures.get(waiting[0]!.update.item)
        : new DatabaseUnavailableError('an account that is not live');
      this.#release(partition, place, failure);
    }
  }

  /** Sends what was held back, ahead of everything that came later, or settles it with a failure. */
  #release(partition: number, place: string, failure?: Error): void {
    const buffer = this.#buffers[partition]!;
    const held = buffer.held.get(place) ?? [];
    buffer.held.delete(place);
    if (failure) {
      for (const waiting of held) waiting.refuse(failure);
      return;
    }
    const until = this.#parts.clock.now() + this.#parts.settings.callTimeoutMs;
    for (const waiting of held) waiting.until = until;
    buffer.waiting = held.concat(buffer.waiting);
    if (!buffer.sending) this.#schedule(partition);
  }
}

/** What an update is held back by. */
function placeOf({ update }: Waiting): string {
  return update.kind + update.item;
}
