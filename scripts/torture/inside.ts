/**
 * Loaded into each worker and producer before anything else. Gives them a wall clock that can be wrong and says, when it is
 * asked, how much memory is in use and how the log does. Knows nothing of what the process is for.
 */
import { LogStream } from '../../src/shared/log-stream.ts';

/** What the torture asks. */
export type Question =
  /** From now on the wall clock is so many ms ahead. */
  | { readonly ask: 'clock'; readonly shiftMs: number }
  /** Bytes in use after a garbage collection. */
  | { readonly ask: 'memory' }
  /** Writes so many lines of a kilobyte into the log. Answers how many lines the log has dropped and not told. */
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
// It must not keep a process alive that has come to its end.
process.channel?.unref();
