// What a person sees while the demo runs: finished steps, a progress bar, notes between them. A terminal
// redraws the bar; a file or pipe gets a plain line every other second.

import { SingleBar } from 'cli-progress';

const plainEvery = 2000;

interface Figures {
  /** Updates per second. */
  rate: number;
  pending: number;
  /** Seconds. */
  lag: number;
}

const count = (value: number) => Math.round(value).toLocaleString('en-US');

export class Screen {
  readonly #stream: NodeJS.WriteStream;
  #bar: SingleBar | undefined;
  #total = 0;
  #plainAt = 0;
  #isSilent = false;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  step(text: string): void {
    this.#line(`  ${this.#paint(32, '✓')} ${text}`);
  }

  note(text: string): void {
    this.#line(`  ${this.#paint(33, '!')} ${text}`);
  }

  fail(text: string): void {
    this.#isSilent = false;
    this.#line(`  ${this.#paint(31, '✗')} ${text}`);
  }

  block(lines: string[]): void {
    for (const line of lines) this.#line(line && `  ${line}`);
  }

  /** From now on only failures are printed. */
  silence(): void {
    this.endBar();
    this.#isSilent = true;
  }

  startBar(total: number): void {
    this.#total = total;
    this.#plainAt = performance.now();
    if (!this.#stream.isTTY || this.#isSilent) return;
    this.#bar = new SingleBar({
      stream: this.#stream,
      format: `  {bar} {done} %  {rate}/s  pending {pending}  lag {lag}`,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      barsize: Math.max(10, Math.min(36, this.#stream.columns - 62)),
      hideCursor: true,
      // The demo handles Ctrl-C itself.
      gracefulExit: false,
    });
    this.#bar.start(total, 0, this.#texts(0, { rate: 0, pending: 0, lag: 0 }));
  }

  drawBar(done: number, figures: Figures): void {
    const texts = this.#texts(done, figures);
    if (this.#bar) this.#bar.update(done, texts);
    else if (performance.now() - this.#plainAt >= plainEvery) {
      this.#plainAt = performance.now();
      const { rate, pending, lag } = texts;
      this.#line(
        `  ${count(done)} of ${count(this.#total)}, ${rate.trim()}/s, pending ${pending.trim()}, lag ${lag.trim()}`,
      );
    }
  }

  endBar(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  #texts(done: number, { rate, pending, lag }: Figures) {
    return {
      done: String(Math.floor((done / this.#total) * 100)).padStart(3),
      rate: count(rate).padStart(7),
      pending: count(pending).padStart(7),
      lag: `${count(lag * 1000)} ms`.padStart(8),
    };
  }

  /** Prints a line above the bar, if there is one. The bar redraws itself from the saved cursor. */
  #line(text: string): void {
    if (this.#isSilent) return;
    this.#stream.write(this.#bar ? `\r\x1b[K${text}\n\x1b7` : `${text}\n`);
    this.#bar?.render();
  }

  #paint(colour: number, text: string): string {
    return this.#stream.isTTY && !process.env.NO_COLOR ? `\x1b[${colour}m${text}\x1b[0m` : text;
  }
}
