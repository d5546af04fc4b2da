/**
 * The keys as this process knows them. It reads them anew every few seconds, so that a revoked key ends soon,
 * and at once for a key that it does not know yet. While MySQL is away, the keys that it knows stay valid.
 */
import { timingSafeEqual } from 'node:crypto';
import type { Logger } from 'pino';
import { pause } from '../shared/clock.ts';
import { isLive, type KeyStore, type StoredKey } from './key-store.ts';
import { digestOf, parseKey } from './key-text.ts';

const REFRESH_MS = 5000;
/** Reads for unknown keys begin at most this often: anyone can make up texts that look like keys. */
const UNKNOWN_MS = 500;
const USES_MS = 60_000;

export class KeyRing {
  readonly #store: KeyStore;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  #keys = new Map<string, StoredKey>();
  /** By connection: the key that it showed last. */
  readonly #shown = new WeakMap<object, { text: Buffer; id: string; digest: Buffer }>();
  /** Uses that MySQL does not have yet. */
  #uses = new Map<string, Date>();
  #read: Promise<void> | undefined;
  /** A read for unknown keys that has not begun, so that all who ask by now may share it. */
  #nextLook: Promise<void> | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #rounds: Promise<void> | undefined;
  #usesWrittenAt = performance.now();
  #second = 0;
  #now = new Date();

  constructor(store: KeyStore, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  /** Reads the keys, then goes on doing so. @throws errors of the database */
  async start(): Promise<void> {
    await this.#refresh();
    this.#rounds = this.#run();
  }

  /** How many keys can be used now. */
  get live(): number {
    return [...this.#keys.values()].filter(key => isLive(key, new Date())).length;
  }

  /**
   * The live key of this text, if it is known to this process.
   * @param connection the next request on it has the same key, in general
   */
  find(text: string, connection?: object): StoredKey | undefined {
    const key = (connection && this.#shownBefore(text, connection)) ?? this.#check(text, connection);
    if (!key) return undefined;
    const now = this.#clock();
    if (!isLive(key, now)) return undefined;
    this.#uses.set(key.id, now);
    return key;
  }

  /**
   * The key, if it is the one that the connection showed last: to compare costs a tenth of a digest. All
   * comparisons take the same time for every secret.
   */
  #shownBefore(text: string, connection: object): StoredKey | undefined {
    const shown = this.#shown.get(connection);
    if (!shown) return undefined;
    const given = Buffer.from(text);
    if (shown.text.length !== given.length || !timingSafeEqual(shown.text, given)) return undefined;
    const key = this.#keys.get(shown.id);
    return key?.digest.equals(shown.digest) ? key : undefined;
  }

  #check(text: string, connection?: object): StoredKey | undefined {
    const parsed = parseKey(text);
    const key = parsed && this.#keys.get(parsed.id);
    if (!key || !timingSafeEqual(digestOf(parsed.secret), key.digest)) return undefined;
    if (connection) this.#shown.set(connection, { text: Buffer.from(text), id: key.id, digest: key.digest });
    return key;
  }

  /** Whether there is a live key with this id. */
  has(id: string): boolean {
    const key = this.#keys.get(id);
    return key !== undefined && isLive(key, this.#clock());
  }

  /**
   * As `find`; also finds a key that was made a moment ago.
   * @throws errors of the database: whether there is such a key is not known
   */
  async look(text: string): Promise<StoredKey | undefined> {
    const parsed = parseKey(text);
    if (!parsed || this.#keys.has(parsed.id)) return undefined;
    this.#nextLook ??= this.#lookSoon();
    await this.#nextLook;
    return this.find(text);
  }

  async #lookSoon(): Promise<void> {
    await pause(Math.max(0, this.#lookedAt + UNKNOWN_MS - performance.now()), this.#stop.signal);
    // A read that runs already may have begun before the key was made.
    await this.#read?.catch(() => {});
    this.#nextLook = undefined;
    this.#lookedAt = performance.now();
    await this.#refresh();
  }

  /** Writes the last uses. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#rounds;
    await this.#writeUses();
  }

  /** The time, to the second: a `Date` for each request would cost more than the rest. */
  #clock(): Date {
    const second = Math.floor(performance.now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#now = new Date();
    }
    return this.#now;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await pause(REFRESH_MS, this.#stop.signal);
      if (this.#stop.signal.aborted) return;
      await this.#refresh().catch(error =>
        this.#log.warn({ err: error }, 'the keys could not be read; the ones that are known stay valid'),
      );
      if (performance.now() - this.#usesWrittenAt >= USES_MS) await this.#writeUses();
    }
  }

  /** All that ask at once share one read. */
  #refresh(): Promise<void> {
    this.#read ??= this.#readKeys().finally(() => {
      this.#read = undefined;
    });
    return this.#read;
  }

  async #readKeys(): Promise<void> {
    const keys = await this.#store.list();
    this.#keys = new Map(keys.map(key => [key.id, key]));
  }

  async #writeUses(): Promise<void> {
    const uses = this.#uses;
    this.#uses = new Map();
    this.#usesWrittenAt = performance.now();
    await this.#store.used(uses).catch(error => {
      for (const [id, at] of uses) if (!this.#uses.has(id)) this.#uses.set(id, at);
      this.#log.warn({ err: error }, 'the last uses of keys could not be recorded; they are recorded later');
    });
  }
}
