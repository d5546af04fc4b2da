/**
 * Loaded into each worker and producer before anything else. It makes their wall clock wrong on request, and
 * reports memory in use and the state of the log. It does not know what the process is for.
 */
import { LogStream } from '../../src/shared/log-stream.ts';

/** Requests of the torture. */
export type Question =
  /** Shifts the wall clock by this many ms from now on. */
  | { readonly ask: 'clock'; readonly shiftMs: number }
  /** Returns the heap in use after a garbage collection, in bytes. */
  | { readonly ask: 'memory' }
  /** Writes this many lines of 1 KB to the log; returns the number of dropped, unreported lines. */
  | { readonly ask: 'log'; readonly lines: number };

export type Asked = Question & { readonly id: number };
export interface Answer {
  readonly id: number;
  readonly answer: number;
}

const lineBytes = 1000;
const { Date: Right } = globalThis;
let shift = Number(process.env.TORTURE_CLOCK_SHIFT_MS ?? 0);

class Wrong extends Right {
  constructor(...given: [] | ConstructorParameters<typeof Right>) {
    if (given.length > 0) super(...(given as ConstructorParameters<typeof Right>));
    else super(Right.now() + shift);
  }

  static override now(): number {
    return Right.now() + shift;
  }
}
Object.defineProperty(Wrong, 'name', { value: 'Date' });
globalThis.Date = Wrong as DateConstructor;

let log: LogStream | undefined;
const { write } = LogStream.prototype;
LogStream.prototype.write = function (line) {
  log = this;
  write.call(this, line);
};

function answer(question: Question): number {
  if (question.ask === 'clock') {
    shift = question.shiftMs;
    return shift;
  }
  if (question.ask === 'memory') {
    globalThis.gc?.();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  }
  const text = 'x'.repeat(lineBytes);
  for (let line = 0; line < question.lines; line++)
    log?.write(`${JSON.stringify({ level: 'info', name: 'torture', text })}\n`);
  return log?.dropped ?? 0;
}

process.on('message', (asked: Partial<Asked> | string) => {
  if (typeof asked === 'object' && asked.ask)
    process.send?.({ id: asked.id!, answer: answer(asked as Asked) } satisfies Answer);
});
// Must not keep a process alive that is about to end.
process.channel?.unref();
