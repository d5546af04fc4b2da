/**
 * Tells all processes what has changed, so that none answers from its own memory what is no longer true.
 *
 * The pattern: a change deletes the entry in Redis and publishes its key, in one script. Pub/sub forgets what is
 * published while nobody listens: a process that is not subscribed believes nothing in its memory, and begins with an
 * empty one when it is subscribed again. A change that Redis did not hear of is sent again; until then this process
 * reads past the cache. Use it as soon as there is a second process with a memory.
 *
 * What it does not do: others hear of a change after some milliseconds, not at once. If the cache's Redis is away and
 * this process dies before it could send a change, the entry stays old until its end.
 */
import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { lockOf } from '../stampede/lease.ts';
import { TagVersions, type Versions } from '../tags/versions.ts';

const RETRY_MS = 500;
/** A connection that says nothing for so long is closed: nobody would hear of changes on it. */
const PING_MS = 1000;
/** Takes the lock from whoever loads, so that he does not store what he read before. With a token, nobody loads. */
const DROP = `
redis.call('DEL', KEYS[1], KEYS[2])
if ARGV[3] ~= '' then redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4]) end
redis.call('PUBLISH', ARGV[1], ARGV[2])`;
const RENEW = `
redis.call('SET', KEYS[1], ARGV[3])
redis.call('PUBLISH', ARGV[1], ARGV[2])`;

export type Change = { readonly key: string } | { readonly tag: string };

export class Invalidation {
  readonly #redis: Redis;
  readonly #channel: string;
  /** Is called with each change that was heard. `undefined`: any may have been missed. */
  readonly #listener: (change: Change | undefined) => void;
  readonly #subscriber: Redis;
  readonly #tags: TagVersions;
  readonly #first = Promise.withResolvers<void>();
  /** Changes that Redis has not heard of, each with the number of its last one. */
  readonly #owed = new Map<string, number>();
  readonly #pings: NodeJS.Timeout;
  #payment: NodeJS.Timeout | undefined;
  #number = 0;
  #heard = 0;
  #subscribed = false;

  constructor(redis: Redis, prefix: string, localMs: number, listener: (change: Change | undefined) => void) {
    this.#redis = redis;
    this.#channel = `${prefix}:changes`;
    this.#listener = listener;
    this.#tags = new TagVersions(redis, prefix, localMs);
    this.#subscriber = redis.duplicate({ autoResubscribe: false, enableReadyCheck: false });
    this.#subscriber.on('error', () => {});
    this.#subscriber.on('close', () => {
      this.#subscribed = false;
    });
    this.#subscriber.on('ready', () => void this.#subscribe());
    this.#subscriber.on('message', (_, text: string) => this.#hear(JSON.parse(text)));
    this.#pings = setInterval(() => void this.#ping(), PING_MS).unref();
  }

  async #ping(): Promise<void> {
    if (!this.#subscribed) return;
    await this.#subscriber.ping().catch(() => this.#subscriber.disconnect(true));
  }

  async #subscribe(): Promise<void> {
    try {
      await this.#subscriber.subscribe(this.#channel);
      this.#hear(undefined);
      this.#subscribed = true;
      this.#first.resolve();
    } catch {
      this.#subscriber.disconnect(true);
    }
  }

  #hear(change: Change | undefined): void {
    this.#heard++;
    if (change === undefined || 'tag' in change) this.#tags.hear(change?.tag);
    this.#listener(change);
  }

  /** Resolves when this process hears of changes for the first time. */
  get listening(): Promise<void> {
    return this.#first.promise;
  }

  /** Grows with each change. What was read before one is not kept after it. */
  get heard(): number {
    return this.#heard;
  }

  /** Whether Redis has heard of all changes of this process, and what it has may be believed. */
  isPaid(): boolean {
    return this.#owed.size === 0;
  }

  /** Whether what this process has in its memory may be believed. */
  hears(): boolean {
    return this.#subscribed && this.isPaid();
  }

  areCurrent(versions: Versions, ifUnknown: boolean): boolean {
    return this.#tags.areCurrent(versions, ifUnknown);
  }

  versionsOf(tags: readonly string[]): Promise<Versions> {
    const announce = (tag: string) => this.#redis.publish(this.#channel, JSON.stringify({ tag }));
    return this.#tags.read(tags, this.#subscribed, announce);
  }

  /** Never fails. @param lockMs nobody stores the key for so long, or until it is dropped again */
  async drop(change: Change, lockMs = 0): Promise<void> {
    const text = JSON.stringify(change);
    try {
      await this.#send(change, text, lockMs);
    } catch {
      this.#owed.set(text, ++this.#number);
      this.#payment ??= setInterval(() => void this.#pay(), RETRY_MS).unref();
    }
    this.#hear(change);
  }

  async #send(change: Change, text: string, lockMs: number): Promise<void> {
    const [redis, channel] = [this.#redis, this.#channel];
    if ('tag' in change)
      await redis.eval(RENEW, 1, this.#tags.keyOf(change.tag), channel, text, randomUUID());
    else {
      const token = lockMs > 0 ? randomUUID() : '';
      await redis.eval(DROP, 2, change.key, lockOf(change.key), channel, text, token, lockMs);
    }
  }

  async #pay(): Promise<void> {
    for (const [text, number] of this.#owed) {
      const isLost = await this.#send(JSON.parse(text), text, 0).catch(() => true);
      if (isLost) return;
      if (this.#owed.get(text) === number) this.#owed.delete(text);
    }
  }

  close(): void {
    clearInterval(this.#pings);
    clearInterval(this.#payment);
    this.#subscriber.disconnect();
  }
}
