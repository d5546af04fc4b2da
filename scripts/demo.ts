// `npm run demo`: a million updates through the whole engine, a worker killed half-way, and a comparison. The
// result goes to stdout, the rest to stderr. Exit codes: 0 no difference, 1 otherwise, 2 usage, 3 servers.

import type { DemoOptions } from './demo/options.ts';
import { parseOptions, UsageError, usage } from './demo/options.ts';
import { jsonOf, tableOf } from './demo/report.ts';
import { Screen } from './demo/screen.ts';
import { runShow } from './demo/show.ts';
import { NotEmptyError, openStack, type Stack } from './demo/stack.ts';

const signals = { SIGINT: 130, SIGTERM: 143 } as const;
const sameSignalMs = 500;

class Demo {
  readonly #options: DemoOptions;
  readonly #screen: Screen;
  #stack: Promise<Stack> | undefined;
  #stopping: Promise<never> | undefined;
  #stoppingSince = 0;
  /** Exit code of the finished run, while --keep keeps the stack. */
  #outcome: number | undefined;

  constructor(options: DemoOptions) {
    this.#options = options;
    this.#screen = new Screen(process.stderr);
  }

  async run(): Promise<number> {
    for (const [signal, code] of Object.entries(signals)) {
      process.on(signal, () => {
        // A second signal ends the demo at once, and its processes with it. npm forwards a Ctrl-C that the
        // terminal has sent already, so one that follows right after the first does not count.
        if (!this.#stopping) this.#stopping = this.#interrupt(code);
        else if (performance.now() - this.#stoppingSince > sameSignalMs) process.exit(code);
      });
    }
    try {
      return await this.#play();
    } catch (error) {
      // Whatever was interrupted may fail in any way.
      if (this.#stopping) return this.#stopping;
      this.#screen.fail((error as Error).message);
      await this.#close();
      return error instanceof NotEmptyError ? 2 : error instanceof Unreachable ? 3 : 1;
    }
  }

  async #play(): Promise<number> {
    const { json, keep } = this.#options;
    this.#stack = openStack(this.#options, this.#screen);
    const stack = await this.#stack.catch(cause => {
      throw cause instanceof NotEmptyError ? cause : new Unreachable((cause as Error).message, { cause });
    });
    const report = await runShow(stack, this.#options, this.#screen);
    if (this.#stopping) return this.#stopping;
    this.#outcome = report.difference === 0 && report.complete ? 0 : 1;
    // With --json, stdout has only the line for programs.
    (json ? process.stderr : process.stdout).write(`\n${tableOf(report)}\n\n`);
    if (json) process.stdout.write(`${JSON.stringify(jsonOf(report))}\n`);
    if (keep) {
      this.#screen.block(stack.addresses());
      await new Promise(() => setInterval(() => {}, 60_000));
    }
    await this.#close();
    return this.#outcome;
  }

  async #interrupt(code: number): Promise<never> {
    this.#stoppingSince = performance.now();
    this.#screen.note('stopping everything that was started');
    this.#screen.silence();
    await this.#close();
    process.exit(this.#outcome ?? code);
  }

  async #close(): Promise<void> {
    // Logs of a failed run may say why, so they are kept.
    const discard = this.#outcome === 0 || this.#stoppingSince > 0;
    this.#screen.endBar();
    const stack = await this.#stack?.catch(() => undefined);
    try {
      await stack?.close(discard);
    } catch (error) {
      this.#screen.fail(`could not clean up: ${(error as Error).message}`);
    }
  }
}

class Unreachable extends Error {}

let options: DemoOptions;
try {
  options = parseOptions(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`demo: ${error.message}\n`);
  process.exit(2);
}
if (options.help) {
  process.stdout.write(usage);
  process.exit(0);
}
process.exit(await new Demo(options).run());
