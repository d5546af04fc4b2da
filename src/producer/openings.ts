/** Sends the openings of a backfill: updates with the reserved id of their run. */
import type { DefinitionsInput } from '../shared/config/definitions.ts';
import { ProducerClosedError } from '../shared/errors.ts';
import { checkOpening, type OpeningUpdate, type Update } from '../shared/updates/update.ts';
import type { ApplyResult } from './callers.ts';
import { applyAll, type ClientParts, closeAll } from './client.ts';
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
    return applyAll(this.#parts, updates as readonly OpeningUpdate[], this.#parts.durability, checkOpening);
  }

  /** The receipt whose `text` this is; undefined if it is none. */
  receipt(text: string): KeptReceipt | undefined {
    return keptReceipt(text, this.#parts.progress, this.#parts.partitions);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await closeAll(this.#parts);
  }
}
