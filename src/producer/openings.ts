/** Sends the openings of a backfill: updates with the reserved id of their run. */
import type { DefinitionsInput } from '../shared/config/definitions.ts';
import { ProducerClosedError } from '../shared/errors.ts';
import {
  type CheckedUpdate,
  checkOpening,
  type OpeningUpdate,
  type Update,
} from '../shared/updates/update.ts';
import { type ApplyResult, ManyCaller } from './callers.ts';
import type { ClientParts } from './client.ts';
import { connectProducer, type ProducerOptions } from './producer.ts';
import { type KeptReceipt, keptReceipt } from './receipt.ts';

export class Openings {
  readonly #parts: ClientParts;
  #isClosed = false;

  constructor(parts: ClientParts) {
    this.#parts = parts;
  }

  /** @throws what createProducer throws */
  static async open(options: ProducerOptions<DefinitionsInput>): Promise<Openings> {
    return new Openings(await connectProducer(options));
  }

  /**
   * Sends openings in order, as `Sluice.apply` sends updates. The id of each is the name of its backfill.
   * @throws ProducerClosedError
   */
  async apply(updates: readonly Update[]): Promise<ApplyResult[]> {
    if (this.#isClosed) throw new ProducerClosedError();
    const { applier, definitions, durability } = this.#parts;
    if (updates.length === 0) return [];
    return new Promise(resolve => {
      const caller = new ManyCaller(updates.length, resolve, this.#parts);
      for (const [index, update] of updates.entries()) {
        let checked: CheckedUpdate;
        try {
          checked = checkOpening(update as OpeningUpdate, definitions);
        } catch (error) {
          caller.refused(index, error as Error);
          continue;
        }
        applier.add(checked, durability, caller, index);
      }
    });
  }

  /** The receipt whose `text` this is; undefined if it is none. */
  receipt(text: string): KeptReceipt | undefined {
    return keptReceipt(text, this.#parts.progress, this.#parts.partitions);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#parts.applier.drained();
    this.#parts.progress.close();
    this.#parts.credits.close();
    await this.#parts.closeConnections();
  }
}
