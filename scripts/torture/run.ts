/**
 * One torture from start to verdict: breaks things one after another, lets everything drain, and compares.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { connectRedis, openRedis } from '../../src/shared/redis/connections.ts';
import { Inspector } from '../../src/shared/redis/inspect.ts';
import { Keys } from '../../src/shared/redis/keys.ts';
import { seededRandom } from '../load/zipf.ts';
import { check, type Verdict } from './checker.ts';
import { differenceOfMembers } from './cluster-root.ts';
import { commitOfProject } from './commit.ts';
import { verifyDrift } from './drift.ts';
import { faultsOf, schedule } from './faults/catalogue.ts';
import type { Fault, Scene } from './faults/fault.ts';
import { Footprints } from './footprint.ts';
import { compareAccounts, compareOpenSums, holdsToExpire } from './held-accounts.ts';
import { readHoldings } from './holdings.ts';
import { HUNG_MS } from './hung.ts';
import { type JournalledUpdate, knownOf, readJournal } from './journal.ts';
import type { TortureOptions } from './options.ts';
import { Probe } from './probe.ts';
import { Processes } from './processes.ts';
import { compareBoards, readRanks, wrongReads } from './ranks.ts';
import { type Outcome, promised, promisedSeconds, type Recoveries } from './report.ts';
import type { Stack } from './stack.ts';
import { partitions } from './traffic.ts';
import { TransferOperator } from './transfer-operator.ts';
import { ZeroSum } from './zero-sum.ts';

const longestPause = 400;

export type Say = (line: string) => void;

export class Torture {
  readonly #options: TortureOptions;
  readonly #stack: Stack;
  readonly #say: Say;
  readonly #processes: Processes;
  readonly #footprints: Footprints;
  readonly #operator: TransferOperator;
  readonly #recoveries: Recoveries = new Map();
  readonly #problems: string[] = [];
  readonly #started = performance.now();

  constructor(options: TortureOptions, stack: Stack, say: Say) {
    this.#options = options;
    this.#stack = stack;
    this.#say = say;
    this.#processes = new Processes(stack, options);
    this.#operator = new TransferOperator(stack);
    this.#footprints = new Footprints(stack, this.#processes, options.durability);
  }

  async run(): Promise<Outcome> {
    const zeroSum = new ZeroSum(this.#stack.root, problem => this.#fail(problem));
    try {
      return await this.#runAll();
    } finally {
      await zeroSum.stop();
      await this.#operator.close();
    }
  }

  async #runAll(): Promise<Outcome> {
    const probe = await Probe.open(this.#stack, this.#options.durability);
    try {
      await this.#processes.ensure();
      if (!(await probe.flushed(HUNG_MS))) throw new Error('nothing is flushed before the first fault');
      await this.#footprints.remember();
      await this.#breakThings(probe);
    } finally {
      await probe.close();
    }
    const minutes = (performance.now() - this.#started) / 60_000;
    const verdict = await this.#compare([...this.#processes.journals, probe.journalFile]);
    const acknowledgedOverHttp = this.#overHttp();
    await this.#processes.stop();
    return {
      options: this.#options,
      commit: commitOfProject(),
      servers: {
        redis: `${this.#stack.redis.flavour} (${this.#stack.redis.nodes[0]!.version})`,
        database: `${this.#stack.database} (${this.#stack.mysql.version})`,
      },
      minutes,
      recoveries: this.#recoveries,
      verdict,
      acknowledgedOverHttp,
      problems: [...this.#problems, ...verdict.problems],
    };
  }

  /** Stops its processes, which makes a running torture fail. */
  stop(): Promise<void> {
    return this.#processes.stop();
  }

  async #breakThings(probe: Probe): Promise<void> {
    const { minutes, faults, seed, topology, database, kinds, durability } = this.#options;
    const random = seededRandom(seed);
    const [stack, processes, operator] = [this.#stack, this.#processes, this.#operator];
    const scene: Scene = { stack, processes, random, operator, durability };
    const until = this.#started + minutes * 60_000;
    let count = 0;
    const wanted = faultsOf(topology, database).filter(({ kind }) => kinds?.includes(kind) ?? true);
    for (const fault of schedule(wanted, random)) {
      if (performance.now() >= until && count >= faults) return;
      count++;
      if (!(await this.#suffer(fault, scene, probe, count))) return;
      await delay(random() * longestPause);
    }
  }

  /** Returns whether flushing works again, so that it makes sense to go on. */
  async #suffer(fault: Fault, scene: Scene, probe: Probe, count: number): Promise<boolean> {
    const { kind } = fault;
    try {
      const injury = await fault.run(scene);
      const [flushed] = await Promise.all([probe.flushed(HUNG_MS), injury.meanwhile]);
      if (flushed === undefined) throw new Error(`no flush within ${HUNG_MS / 1000} s: ${injury.what}`);
      const seconds = Math.max(0, flushed - injury.since) / 1000;
      this.#recoveries.set(kind, [...(this.#recoveries.get(kind) ?? []), seconds]);
      const slow = promised.has(kind) && seconds > promisedSeconds ? `, MORE THAN ${promisedSeconds} s` : '';
      this.#say(
        `${String(count).padStart(4)}  ${kind}: ${injury.what}; flushing again after ${seconds.toFixed(2)} s${slow}`,
      );
      await this.#processes.ensure();
      await this.#stack.redis.recovered();
      await this.#stack.cluster?.recovered();
      if (fault.isOutage) {
        for (const excess of await this.#footprints.excesses())
          this.#fail(`after fault ${count}, ${kind}: ${excess}`);
      }
      return true;
    } catch (error) {
      this.#fail(`fault ${count}, ${kind}: ${(error as Error).message}`);
      return false;
    } finally {
      for (const name of this.#processes.crashes.splice(0))
        this.#fail(`${name} ended by itself around fault ${count}`);
    }
  }

  #fail(problem: string): void {
    this.#problems.push(problem);
    this.#say(`      PROBLEM: ${problem}`);
  }

  async #compare(journals: string[]): Promise<Verdict> {
    const { direct, root, cluster } = this.#stack;
    const keys = new Keys(direct.namespace, partitions);
    await this.#processes.stopSending();
    for (const name of this.#processes.crashes.splice(0)) this.#fail(`${name} did not end in order`);
    this.#say('the faults are over; waiting until nothing is pending');
    await this.#processes
      .ensureWorkers()
      .catch(error => this.#fail(`workers do not start: ${error.message}`));
    await this.#operator.decide(seededRandom(this.#options.seed));
    if (!(await this.#drained(keys))) this.#fail(`not drained within ${HUNG_MS / 1000} s`);
    const updates: JournalledUpdate[] = journals.flatMap(readJournal);
    const { decisions } = this.#operator;
    let verdict = check(updates, await readHoldings(root), keys, decisions);
    // Workers may find a loss when they compare idle partitions, which they do now and then.
    const limit = performance.now() + HUNG_MS;
    while (verdict.lost + verdict.doubled > 0 && performance.now() < limit) {
      await delay(1000);
      verdict = check(updates, await readHoldings(root), keys, decisions);
    }
    const unequal = cluster && (await differenceOfMembers(cluster, direct.namespace));
    if (unequal) this.#fail(unequal);
    await this.#compareRanks(keys);
    await this.#compareHolds();
    const drift = await verifyDrift(direct);
    if (drift) this.#fail(drift);
    const codes = Map.groupBy(
      updates.filter(update => update.code !== ''),
      update => update.code,
    );
    this.#say(
      `errors seen: ${[...codes].map(([code, list]) => `${code} ${list.length}`).join(', ') || 'none'}`,
    );
    return verdict;
  }

  /** The number of updates that the API has acknowledged. They are compared with all others. */
  #overHttp(): number {
    const updates = this.#processes.journalsOverHttp.flatMap(readJournal);
    const acknowledged = updates.filter(update => knownOf(update) === 'acknowledged');
    const inStreams = acknowledged.filter(({ id }) => id.includes('-stream:')).length;
    this.#say(`${acknowledged.length} updates were acknowledged over HTTP, ${inStreams} of them in streams`);
    if (inStreams === 0) this.#fail('no line of a stream was acknowledged over HTTP');
    return acknowledged.length;
  }

  async #compareRanks(keys: Keys): Promise<void> {
    const holdings = await readHoldings(this.#stack.root);
    const reads = this.#processes.journals.flatMap(readRanks);
    this.#say(`${reads.length} exact ranks were read`);
    for (const problem of wrongReads(reads, holdings, keys)) this.#fail(problem);
    for (const problem of await compareBoards(this.#stack, holdings, keys, HUNG_MS)) this.#fail(problem);
  }

  async #compareHolds(): Promise<void> {
    const holdings = await readHoldings(this.#stack.root);
    const ends = Map.groupBy(holdings.holds, ({ status }) => status);
    for (const status of ['posted', 'voided', 'expired'] as const)
      if (!ends.has(status)) this.#fail(`no hold is ${status}`);
    this.#say(`holds: ${[...ends].map(([status, rows]) => `${rows.length} ${status}`).join(', ')}`);
    for (const problem of await compareOpenSums(this.#stack.root)) this.#fail(problem);
    for (const problem of await compareAccounts(this.#stack, holdings)) this.#fail(problem);
  }

  async #drained(keys: Keys): Promise<boolean> {
    const { redisUrl } = this.#stack.direct;
    const redis = openRedis({ url: redisUrl }, () => {});
    try {
      await connectRedis(redis, redisUrl);
      const inspector = new Inspector(redis, keys);
      const isIdle = async () =>
        (await inspector.all()).every(status => status.pendingUpdates === 0 && status.token === '');
      const { root } = this.#stack;
      const waiting = async () => (await this.#operator.inTransit()) + (await holdsToExpire(root));
      const limit = performance.now() + HUNG_MS;
      while (performance.now() < limit) {
        // A debit becomes a row, and the row a credit: nothing waits if both looks at Redis find nothing. An open hold
        // becomes an entry when its time is over.
        if ((await isIdle()) && (await waiting()) === 0 && (await isIdle())) return true;
        await delay(50);
      }
      return false;
    } finally {
      redis.disconnect();
    }
  }
}
