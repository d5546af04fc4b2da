/** The callers of the write path: one for a call of `apply`, one for a single update. */
import { SluiceError } from '../shared/errors.ts';
import type { CheckedUpdate } from '../shared/updates/update.ts';
import type { CallTraces } from './call-traces.ts';
import type { CreditWatch } from './credit-watch.ts';
import type { ProducerMetrics } from './metrics.ts';
import { HoldReceipt, type Progress, Receipt, TransferReceipt } from './receipt.ts';
import type { Caller, Mark } from './waiting.ts';

/** One result of `apply`. */
export type ApplyResult =
  | ({ readonly ok: true } & Pick<Receipt, 'value' | 'duplicate' | 'persisted' | 'text'> & {
        /** Only of a transfer. */
        readonly credited?: TransferReceipt['credited'];
        /** Only of a hold, a post or a void. */
        readonly held?: number;
      })
  | {
      readonly ok: false;
      readonly error: { readonly code: string; readonly message: string; readonly retryable: boolean };
    };

export interface CallerParts {
  readonly metrics: ProducerMetrics;
  readonly progress: Progress;
  readonly credits: CreditWatch;
  /** Only if tracing is on. */
  readonly traces?: CallTraces | undefined;
}

class AppliedUpdate extends Receipt {
  readonly ok = true;
}

class AppliedTransfer extends TransferReceipt {
  readonly ok = true;
}

class AppliedHold extends HoldReceipt {
  readonly ok = true;
}

/** An error of another class is a bug; the caller gets it all the same. */
function codeOf(error: Error): string {
  return error instanceof SluiceError ? error.code : 'INTERNAL';
}

export class ManyCaller implements Caller {
  readonly #results: ApplyResult[];
  readonly #done: (results: ApplyResult[]) => void;
  readonly #parts: CallerParts;
  readonly #span: string | undefined;
  #open: number;

  constructor(updates: number, done: (results: ApplyResult[]) => void, parts: CallerParts) {
    this.#results = new Array(updates);
    this.#open = updates;
    this.#done = done;
    this.#parts = parts;
    this.#span = parts.traces?.current();
  }

  accepted(
    index: number,
    update: CheckedUpdate,
    value: number | null,
    duplicate: boolean,
    mark: Mark,
    held: number,
  ): void {
    const { metrics, progress, credits, traces } = this.#parts;
    metrics.accept(update, value, duplicate);
    if (this.#span) traces?.note(mark, this.#span);
    const result = update.hold
      ? new AppliedHold(value, held, duplicate, mark, update, progress)
      : update.to === undefined
        ? new AppliedUpdate(value, duplicate, mark, update, progress)
        : new AppliedTransfer(value, duplicate, mark, update, progress, credits);
    this.#put(index, result);
  }

  refused(index: number, error: Error): void {
    const code = codeOf(error);
    this.#parts.metrics.refuse(code);
    const retryable = error instanceof SluiceError && error.retryable;
    this.#put(index, { ok: false, error: { code, message: error.message, retryable } });
  }

  #put(index: number, result: ApplyResult): void {
    this.#results[index] = result;
    if (--this.#open === 0) this.#done(this.#results);
  }
}

export class SingleCaller implements Caller {
  readonly #resolve: (receipt: Receipt) => void;
  readonly #reject: (error: Error) => void;
  readonly #parts: CallerParts;
  readonly #span: string | undefined;

  constructor(resolve: (receipt: Receipt) => void, reject: (error: Error) => void, parts: CallerParts) {
    this.#resolve = resolve;
    this.#reject = reject;
    this.#parts = parts;
    this.#span = parts.traces?.current();
  }

  accepted(
    _: number,
    update: CheckedUpdate,
    value: number | null,
    duplicate: boolean,
    mark: Mark,
    held: number,
  ): void {
    const { metrics, progress, credits, traces } = this.#parts;
    metrics.accept(update, value, duplicate);
    if (this.#span) traces?.note(mark, this.#span);
    const receipt = update.hold
      ? new HoldReceipt(value, held, duplicate, mark, update, progress)
      : update.to === undefined
        ? new Receipt(value, duplicate, mark, update, progress)
        : new TransferReceipt(value, duplicate, mark, update, progress, credits);
    this.#resolve(receipt);
  }

  refused(_: number, error: Error): void {
    this.#parts.metrics.refuse(codeOf(error));
    this.#reject(error);
  }
}
