/**
 * The program of a producer in a torture: callers that make calls, journal every answer, and repeat updates
 * with an unknown outcome under the same id. It ends when it is told to, or with its parent.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Sluice } from '../../src/producer/client.ts';
import { createProducer } from '../../src/producer/index.ts';
import type { Receipt, TransferReceipt } from '../../src/producer/receipt.ts';
import { createLog } from '../../src/shared/log.ts';
import type { Deployment } from '../load/processes.ts';
import type { Login } from './accounts.ts';
import type { TortureDurability } from './durability.ts';
import { HoldTraffic } from './hold-traffic.ts';
import { Journal } from './journal.ts';
import { RankJournal } from './ranks.ts';
import { definitions, idOf, partitions, Traffic, type Update } from './traffic.ts';

export interface ProducerPlan {
  deployment: Deployment;
  login: Login;
  durability: TortureDurability;
  /** Unique among all processes of the run. */
  name: string;
  seed: number;
  callers: number;
  journal: string;
}

const repetitions = 4;
/** Shares of acknowledged updates that are repeated, and whose persisted() or credited() is called. */
const repeatShare = 0.03;
const receiptShare = 0.03;
/** Share of calls that ask for a rank. */
const rankShare = 0.1;
/** Share of updates that begin or end a hold, and of their receipts that are waited for. */
const holdShare = 0.15;
const holdReceiptShare = 0.2;

type Client = Sluice<typeof definitions>;
type Answered = Pick<Receipt, 'persisted'> & Partial<Pick<TransferReceipt, 'credited'>>;

let stopped = false;

/** What all callers of a process use. */
interface Shared {
  readonly sluice: Client;
  readonly journal: Journal;
  readonly traffic: Traffic;
  readonly holds: HoldTraffic;
  readonly ranks: RankJournal;
}

class Caller {
  readonly #sluice: Client;
  readonly #journal: Journal;
  readonly #traffic: Traffic;
  readonly #holds: HoldTraffic;
  readonly #ranks: RankJournal;
  readonly #number: number;

  constructor({ sluice, journal, traffic, holds, ranks }: Shared, number: number) {
    this.#sluice = sluice;
    this.#number = number;
    this.#journal = journal;
    this.#traffic = traffic;
    this.#holds = holds;
    this.#ranks = ranks;
  }

  async run(): Promise<void> {
    while (!stopped) {
      const roll = this.#traffic.random();
      if (roll < 0.2) await this.#many(2 + Math.floor(roll * 100));
      else if (roll < 0.2 + rankShare) await this.#rank();
      else await this.#one(this.#next());
      await delay(2 + this.#traffic.random() * 14);
    }
  }

  #next(): Update {
    return this.#traffic.random() < holdShare ? this.#holds.next() : this.#traffic.next(this.#number);
  }

  async #many(size: number): Promise<void> {
    const updates = Array.from({ length: size }, () => this.#next());
    const numbers = this.#journal.ask(updates);
    const results = await this.#sluice.apply(updates);
    for (const [at, result] of results.entries()) {
      if (result.ok) this.#acknowledged(numbers[at]!, updates[at]!, result);
      else if (!this.#journal.failed(numbers[at]!, result.error.code)) {
        void this.#repeat(numbers[at]!, updates[at]!);
      }
    }
  }

  async #one(update: Update): Promise<void> {
    const [number] = this.#journal.ask([update]);
    const outcome = await this.#send(number!, update);
    if (outcome === 'open') await this.#repeat(number!, update);
    // It must be a duplicate; a refused update would be a new one.
    else if (outcome === 'acknowledged' && idOf(update) !== undefined && this.#traffic.random() < repeatShare)
      await this.#ask(update).catch(() => {});
  }

  /** Repeats only updates with an id; now and then the caller gives up. */
  async #repeat(number: number, update: Update): Promise<void> {
    for (
      let attempt = 0;
      idOf(update) !== undefined && attempt < repetitions && this.#traffic.random() < 0.9;
      attempt++
    ) {
      await delay(50 + this.#traffic.random() * 300);
      this.#journal.askAgain(number);
      if ((await this.#send(number, update)) !== 'open') return;
    }
  }

  async #send(number: number, update: Update): Promise<'acknowledged' | 'refused' | 'open'> {
    try {
      this.#acknowledged(number, update, await this.#ask(update));
      return 'acknowledged';
    } catch (error) {
      const code = (error as { code?: string }).code ?? String(error).replace(/\s/g, '_');
      return this.#journal.failed(number, code) ? 'refused' : 'open';
    }
  }

  #ask(update: Update): Promise<Pick<Receipt, 'persisted'>> {
    if ('value' in update) {
      const value = this.#sluice.value(update.value as 'best');
      return value.put(update.key as string, update.is);
    }
    if ('counter' in update) {
      const counter = this.#sluice.counter(update.counter as 'views');
      return counter.increment(update.key as string, update.by, update.id ? { id: update.id } : {});
    }
    const points = this.#sluice.points(update.points as 'loyalty');
    if ('hold' in update) {
      const { account, hold, id, expiresInMs } = update;
      return points.hold(account, hold, expiresInMs === undefined ? { id } : { id, expiresInMs });
    }
    if ('post' in update) return points.post(update.account, update.post, update.amount);
    if ('void' in update) return points.void(update.account, update.void);
    if ('from' in update) return points.transfer(update.from, update.to, update.amount, { id: update.id });
    const { account, amount, id } = update;
    return amount > 0 ? points.credit(account, amount, { id }) : points.debit(account, -amount, { id });
  }

  /** Fails while the board is built, or while a server is away. */
  async #rank(): Promise<void> {
    const { name, key } = this.#traffic.ranked();
    const { board } = this.#sluice.counter(name);
    await this.#ranks.read(name, key, () => board.rank(key)).catch(() => {});
  }

  #acknowledged(number: number, update: Update, answer: Answered): void {
    this.#journal.acknowledged(number);
    if ('counter' in update) this.#ranks.acknowledged(update.counter, update.key as string);
    if (
      this.#traffic.random() >=
      ('hold' in update || 'post' in update || 'void' in update ? holdReceiptShare : receiptShare)
    )
      return;
    answer.persisted({ timeoutMs: 20_000 }).then(
      () => this.#journal.persisted(number),
      error => this.#journal.receiptFailed(number, error.code ?? error.name),
    );
    answer.credited?.({ timeoutMs: 20_000 }).then(
      () => this.#journal.credited(number),
      () => {},
    );
  }
}

async function connect({ deployment, login, durability }: ProducerPlan): Promise<Client> {
  const { redisUrl, mysqlUrl, namespace } = deployment;
  const { user, files } = login;
  const log = createLog('info', 'stdout');
  log.info('producer connects');
  for (;;) {
    try {
      return await createProducer({
        redis: { url: redisUrl, username: user, password: () => readFileSync(files.redis, 'utf8') },
        mysql: { url: mysqlUrl, user, password: () => readFileSync(files.mysql, 'utf8') },
        namespace,
        definitions,
        settings: { partitions },
        durability,
        log,
      });
    } catch (error) {
      // A server may be down at the moment.
      if (!(error as { retryable?: boolean }).retryable) throw error;
      await delay(100);
    }
  }
}

async function produce(plan: ProducerPlan): Promise<void> {
  const journal = new Journal(plan.journal);
  const sluice = await connect(plan);
  process.send?.('ready');
  const traffic = new Traffic(plan.name, plan.seed);
  const holds = new HoldTraffic(plan.name, traffic.random);
  const shared = { sluice, journal, traffic, holds, ranks: new RankJournal(plan.journal) };
  const running = Array.from({ length: plan.callers }, (_, number) => new Caller(shared, number).run());
  await Promise.all(running);
  await sluice.close();
  process.disconnect?.();
}

process.once('disconnect', () => process.exit());
process.on('message', message => {
  if (message === 'stop') stopped = true;
});
produce(JSON.parse(process.argv[2]!)).catch(error => {
  console.error(error);
  process.exit(1);
});
