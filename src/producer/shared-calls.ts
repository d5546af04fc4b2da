/**
 * Puts the calls of apply.lua that one turn of the event loop makes for several partitions into one call of
 * Redis: the time of a small call is mostly not that of its updates. On a Cluster each call goes alone, since
 * its partitions are in different slots.
 *
 * A part of a call fails by itself, with the error that it would get alone.
 */
import { ReplyError } from 'ioredis';
import type { Script, ScriptArguments } from '../shared/redis/script.ts';
import type { Calls } from './calls.ts';

/** Weight of a partition in a call besides its updates, in counter updates that take Redis as long. */
const PARTITION_WEIGHT = 8;
/** Starts the reply of a part that failed. */
const ERROR = 'error ';

export interface Part {
  readonly stateKey: string;
  /** Arguments of apply.lua for this partition. */
  readonly args: ScriptArguments;
  /** Counter updates that take Redis as long as this part. */
  readonly weight: number;
  /** Deadline, ms of the producer's clock. */
  readonly until: number;
}

/** @returns the reply of a part @throws ReplyError if the part failed, as Redis would answer it alone */
export function checkedReply(replies: readonly string[], at = 0): string {
  const reply = replies[at];
  if (reply === undefined) throw new Error('a part of a call was not answered');
  if (!reply.startsWith(ERROR)) return reply;
  throw Object.assign(new ReplyError(reply.slice(ERROR.length)), { command: { name: 'evalsha' } });
}

interface Waiting {
  readonly part: Part;
  readonly resolve: (reply: string) => void;
  readonly reject: (error: unknown) => void;
}

export class SharedCalls {
  readonly #script: Script<string[]>;
  readonly #calls: Calls;
  readonly #shared: ScriptArguments;
  readonly #mostWeight: number;
  #waiting: Waiting[] = [];

  /**
   * @param shared arguments that all parts of a call have in common
   * @param mostWeight of a call; one part may weigh more
   */
  constructor(script: Script<string[]>, calls: Calls, shared: ScriptArguments, mostWeight: number) {
    this.#script = script;
    this.#calls = calls;
    this.#shared = shared;
    this.#mostWeight = mostWeight;
  }

  /**
   * @returns the reply of the part
   * @throws the errors of `Calls.write`
   */
  run(part: Part): Promise<string> {
    return new Promise((resolve, reject) => {
      // It runs after all promises that are resolved by now: after all calls of this turn.
      if (this.#waiting.length === 0) process.nextTick(() => this.#send());
      this.#waiting.push({ part, resolve, reject });
    });
  }

  #send(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    let from = 0;
    let weight = 0;
    for (let at = 0; at < waiting.length; at++) {
      const more = waiting[at]!.part.weight + PARTITION_WEIGHT;
      if (at > from && (weight + more > this.#mostWeight || !this.#script.ofMany)) {
        void this.#call(waiting.slice(from, at));
        from = at;
        weight = 0;
      }
      weight += more;
    }
    void this.#call(from === 0 ? waiting : waiting.slice(from));
  }

  async #call(together: readonly Waiting[]): Promise<void> {
    // They were made in the same turn, so their deadlines are almost the same.
    const until = Math.max(...together.map(({ part }) => part.until));
    try {
      const replies = await this.#calls.write(until, this.#sent(together.map(({ part }) => part)));
      for (const [at, { resolve, reject }] of together.entries()) {
        try {
          resolve(checkedReply(replies, at));
        } catch (error) {
          reject(this.#calls.failure(error));
        }
      }
    } catch (error) {
      for (const { reject } of together) reject(error);
    }
  }

  #sent(parts: readonly Part[]): Promise<string[]> {
    const shared = this.#shared;
    const [first] = parts;
    if (parts.length === 1) return this.#script(first!.stateKey, ...shared, ...first!.args);
    const keys = parts.map(({ stateKey }) => stateKey);
    return this.#script.ofMany!(keys, [...shared, ...parts.flatMap(({ args }) => args)]);
  }
}
