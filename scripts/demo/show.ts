// The run of the demo: push updates, kill a worker half-way, wait until everything is in MySQL, compare.

import { setTimeout as delay } from 'node:timers/promises';
import { ProducerProcess } from '../load/processes.ts';
import { compare, readJournal } from '../load/tally.ts';
import { Watch } from '../load/watch.ts';
import type { DemoOptions } from './options.ts';
import type { Report } from './report.ts';
import type { Screen } from './screen.ts';
import type { Stack } from './stack.ts';

const drainLimit = 60_000;
const traffic = { counterKeys: 100_000, accounts: 10_000, pointsShare: 0.1, seed: 1 };

export async function runShow(stack: Stack, options: DemoOptions, screen: Screen): Promise<Report> {
  const { redisUrl, mysqlUrl, namespace } = stack.deployment;
  const watch = await Watch.open(redisUrl, namespace);
  stack.atClose(() => watch.stop());
  const producer = new ProducerProcess({
    redisUrl,
    mysqlUrl,
    namespace,
    traffic,
    mode: 'apply',
    callSize: 1000,
    inFlight: 4,
    limit: { updates: options.updates, ms: Number.POSITIVE_INFINITY },
    // On a busy machine, a slow answer must not become an unknown outcome.
    settings: { callTimeoutMs: 20_000 },
  });
  stack.atClose(() => producer.stop());
  await producer.ready();
  screen.step('a producer: 90 % counters (Zipf over 100,000 keys), 10 % entries on 10,000 accounts');

  const started = performance.now();
  watch.start();
  producer.push();
  const bar = new Drawing(screen, watch, producer, options.updates, started);
  const killed = killHalfway(stack, producer, options.updates, bar);
  const pushed = await producer.result;
  await killed;
  const complete = await watch.drained(drainLimit);
  const seconds = (performance.now() - started) / 1000;
  bar.stop();
  await watch.stop();

  screen.step('comparing every key, every balance and the ledger with what was acknowledged');
  const comparison = await compare(stack.database, pushed.tally);
  const journal = await readJournal(stack.database);
  return {
    ...comparison,
    complete,
    acknowledged: pushed.acknowledged,
    refused: pushed.refused,
    seconds,
    lag: { p50: watch.percentile(0.5), p99: watch.percentile(0.99) },
    updatesTaken: journal.updates,
    rowsWritten: journal.rows,
  };
}

async function killHalfway(stack: Stack, producer: ProducerProcess, updates: number, bar: Drawing) {
  let over = false;
  const ended = () => {
    over = true;
  };
  producer.result.then(ended, ended);
  while (producer.acknowledged < updates / 2 && !over) await delay(5);
  const [victim] = stack.workers;
  await victim!.kill();
  bar.say(`killed worker 1 (process ${victim!.pid}) with SIGKILL; worker 2 has to finish its batch`);
}

/** The progress bar of a run. */
class Drawing {
  readonly #screen: Screen;
  readonly #timer: NodeJS.Timeout;
  readonly #draw: () => void;

  constructor(screen: Screen, watch: Watch, producer: ProducerProcess, updates: number, started: number) {
    this.#screen = screen;
    screen.startBar(updates);
    let last = { at: started, acknowledged: 0, rate: 0 };
    this.#draw = () => {
      const at = performance.now();
      if (at - last.at >= 500) {
        const rate = ((producer.acknowledged - last.acknowledged) / (at - last.at)) * 1000;
        last = { at, acknowledged: producer.acknowledged, rate };
      }
      const rate = last.rate || (producer.acknowledged / (at - started)) * 1000;
      screen.drawBar(producer.acknowledged, { rate, pending: watch.pending, lag: watch.lagSeconds });
    };
    this.#timer = setInterval(this.#draw, 100);
  }

  say(text: string): void {
    this.#screen.note(text);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#draw();
    this.#screen.endBar();
  }
}
