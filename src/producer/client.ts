/** The client that API services use: counters, points, values, many updates at once. */

import type { KeyPart } from '../shared/composite-key.ts';
import type { Definitions, DefinitionsInput } from '../shared/config/definitions.ts';
import { ProducerClosedError } from '../shared/errors.ts';
import { DURABILITIES, type Durability, parseDurability } from '../shared/redis/durability.ts';
import type { CounterKey } from '../shared/updates/key.ts';
import { type CheckedUpdate, checkName, checkUpdate, type Update } from '../shared/updates/update.ts';
import type { Applier } from './apply.ts';
import type { CallTraces } from './call-traces.ts';
import { type ApplyResult, ManyCaller, SingleCaller } from './callers.ts';
import { CounterHandle } from './counter-handle.ts';
import type { CreditWatch } from './credit-watch.ts';
import type { CallOptions, HandleParts } from './handle.ts';
import type { Health } from './health.ts';
import type { ProducerMetrics } from './metrics.ts';
import { PointsHandle } from './points-handle.ts';
import { type KeptReceipt, keptReceipt, type Progress, type Receipt } from './receipt.ts';
import { ValueHandle } from './value-handle.ts';

type CounterName<D extends DefinitionsInput> = Extract<keyof NonNullable<D['counters']>, string>;
/**
 * Keys of counters or values: lists with a part for each key column of the target, otherwise texts. Either, if the
 * definitions are not known when the code is compiled.
 */
type KeysIn<Named, Names extends string> = {
  readonly [Name in Names]: string extends Name
    ? CounterKey
    : Name extends keyof Named
      ? Named[Name] extends { readonly target: { readonly key: infer Key } }
        ? PartsOf<Key>
        : string
      : never;
};
type PartsOf<Key> = Key extends readonly unknown[] ? { readonly [At in keyof Key]: KeyPart } : string;
export type KeysOf<D extends DefinitionsInput> = KeysIn<NonNullable<D['counters']>, CounterName<D>>;
type ValueName<D extends DefinitionsInput> = Extract<keyof NonNullable<D['values']>, string>;
export type ValueKeysOf<D extends DefinitionsInput> = KeysIn<NonNullable<D['values']>, ValueName<D>>;
type ProgramName<D extends DefinitionsInput> = Extract<keyof NonNullable<D['points']>, string>;

export interface ClientParts extends HandleParts {
  readonly applier: Applier;
  readonly progress: Progress;
  readonly credits: CreditWatch;
  readonly metrics: ProducerMetrics;
  readonly durability: Durability;
  readonly partitions: number;
  /** Only if tracing is on. */
  readonly traces?: CallTraces | undefined;
  readonly health: () => Promise<Health>;
  readonly closeConnections: () => Promise<void>;
}

/** Made by `createProducer`. */
export class Sluice<D extends DefinitionsInput = DefinitionsInput> {
  readonly #parts: ClientParts;
  #closing: Promise<void> | undefined;

  constructor(parts: ClientParts) {
    this.#parts = parts;
  }

  /** @throws UnknownNameError */
  counter<Name extends CounterName<D>>(name: Name): CounterHandle<KeysOf<D>[Name]> {
    checkName('counter', name, this.#parts.definitions);
    return new CounterHandle(name, this.#parts, (update, durability) => this.#submit(update, durability));
  }

  /** @throws UnknownNameError */
  points(program: ProgramName<D>): PointsHandle {
    checkName('program', program, this.#parts.definitions);
    return new PointsHandle(program, this.#parts, (update, durability) => this.#submit(update, durability));
  }

  /** @throws UnknownNameError */
  value<Name extends ValueName<D>>(name: Name): ValueHandle<ValueKeysOf<D>[Name]> {
    checkName('value', name, this.#parts.definitions);
    return new ValueHandle(name, this.#parts, (update, durability) => this.#submit(update, durability));
  }

  /**
   * Sends many updates in order and gives their results in that order. A refused update affects no other.
   * @throws ProducerClosedError, ConfigurationError if the durability is unknown
   */
  async apply(updates: readonly Update[], options: CallOptions = {}): Promise<ApplyResult[]> {
    if (this.#closing) throw new ProducerClosedError();
    const durability = this.#durability(options.durability);
    return applyAll(this.#parts, updates, durability, checkUpdate);
  }

  /**
   * The receipt whose `text` this is, of any process of the deployment. Undefined if it is none.
   */
  receipt(text: string): KeptReceipt | undefined {
    return keptReceipt(text, this.#parts.progress, this.#parts.partitions);
  }

  /** Asks whether both servers answer now, for a health check; within two seconds. Never rejects. */
  health(): Promise<Health> {
    return this.#parts.health();
  }

  /** Sends buffered updates, then closes the connections. A second call waits for the first. */
  close(): Promise<void> {
    this.#closing ??= closeAll(this.#parts);
    return this.#closing;
  }

  #durability(asked: Durability | undefined): Durability {
    if (asked === undefined) return this.#parts.durability;
    return parseDurability(asked, 'durability', DURABILITIES);
  }

  #submit(update: CheckedUpdate, asked: Durability | undefined): Promise<Receipt> {
    return new Promise((resolve, reject) => {
      if (this.#closing) return reject(new ProducerClosedError());
      // An error thrown here rejects the promise.
      const durability = this.#durability(asked);
      this.#parts.applier.add(update, durability, new SingleCaller(resolve, reject, this.#parts), 0);
    });
  }
}

/**
 * Adds updates in order and gives their results in that order.
 * @param check throws for one that is refused, which affects no other
 */
export async function applyAll<One>(
  parts: ClientParts,
  updates: readonly One[],
  durability: Durability,
  check: (update: One, definitions: Definitions) => CheckedUpdate,
): Promise<ApplyResult[]> {
  if (updates.length === 0) return [];
  const { applier, definitions } = parts;
  return new Promise(resolve => {
    const caller = new ManyCaller(updates.length, resolve, parts);
    for (let index = 0; index < updates.length; index++) {
      let update: CheckedUpdate;
      try {
        update = check(updates[index]!, definitions);
      } catch (error) {
        caller.refused(index, error as Error);
        continue;
      }
      applier.add(update, durability, caller, index);
    }
  });
}

/** Sends what is buffered, then closes the connections. */
export async function closeAll(parts: ClientParts): Promise<void> {
  await parts.applier.drained();
  await parts.traces?.drained();
  parts.progress.close();
  parts.credits.close();
  await parts.closeConnections();
}
