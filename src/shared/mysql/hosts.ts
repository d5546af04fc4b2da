/**
 * Chooses the host of MYSQL_URL: the one that takes writes.
 *
 * Invariant: a process uses one host at a time. It leaves that host only when the host no longer takes writes
 * and another one does. Then every connection to the old host ends, with the statements on it. A process
 * without a host asks all of them at once and takes the first one in the order of the URL, so that all
 * processes choose alike. A single host is used without asking. If no host takes writes, a process that only
 * reads takes the first one that answers.
 */
import type { ConnectionOptions, PoolConnection } from 'mysql2/promise';
import { pause, within } from '../clock.ts';
import { cameFrom, classifyDatabaseError } from './errors.ts';
import { HostPool, type PoolLimits } from './pool.ts';
import { type Address, nameOf } from './url.ts';
import { type Condition, WritableProbe } from './writable.ts';

/** How often the host in use is asked whether it still takes writes, ms. */
const WATCH_EVERY_MS = 1000;
/** A host that is silent for longer is passed over if another one takes writes, ms. */
const SILENCE_MS = 1500;
/** Timeout of one question if no other host takes writes, ms: a busy server opens connections slowly. */
const PROBE_TIMEOUT_MS = 5000;

type OptionsOf = (address: Address) => ConnectionOptions;
type Answer = Condition | { readonly writes: 'no'; readonly why: string; readonly error: unknown };

const SILENT: Answer = { writes: 'no', why: 'no answer' };

interface Host {
  readonly address: string;
  readonly options: ConnectionOptions;
  readonly probe: WritableProbe;
}

interface Asked {
  readonly host: Host;
  readonly answer: Promise<Answer>;
}

export class Hosts {
  readonly #hosts: readonly Host[];
  readonly #limits: PoolLimits;
  readonly #onMove: (from: string, to: string) => void;
  readonly #closed = new AbortController();
  #current: HostPool | undefined;
  /** Whether the host in use has to be asked before it is used again. */
  #isDoubted = false;
  #electing: Promise<HostPool> | undefined;
  #watching: Promise<void> | undefined;

  /** @param onMove called with two addresses when another host takes over */
  constructor(
    addresses: readonly Address[],
    optionsOf: OptionsOf,
    limits: PoolLimits,
    onMove: (from: string, to: string) => void,
  ) {
    this.#hosts = addresses.map(address => {
      const options = optionsOf(address);
      return { address: nameOf(address), options, probe: new WritableProbe(options, PROBE_TIMEOUT_MS) };
    });
    this.#limits = limits;
    this.#onMove = onMove;
    if (!this.#isList) this.#current = this.#poolOf(this.#hosts[0]!);
  }

  /** HOST:PORT of the host in use, or of all hosts while none is in use. */
  get address(): string {
    return this.#current?.address ?? this.#hosts.map(host => host.address).join(', ');
  }

  /** @throws what mysql2 throws, or NoWritableHostError */
  async connection(): Promise<{ connection: PoolConnection; pool: HostPool }> {
    for (let attempt = 1; ; attempt++) {
      const pool = this.#current && !this.#isDoubted ? this.#current : await this.#elect();
      try {
        return { connection: await pool.connection(), pool };
      } catch (error) {
        this.failed(pool, error);
        // Nothing was sent yet, so the next attempt may go to another host.
        if (!this.#isList || attempt > 1 || !isOutage(error)) throw error;
      }
    }
  }

  /** Handles an error that came from this host. */
  failed(pool: HostPool, error: unknown): void {
    cameFrom(error, pool.address);
    if (this.#isList && pool === this.#current && isOutage(error)) this.#isDoubted = true;
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await Promise.all([this.#current?.close(), this.#watching, this.#electing?.catch(() => {})]);
    for (const { probe } of this.#hosts) probe.close();
  }

  get #isList(): boolean {
    return this.#hosts.length > 1;
  }

  /** @param known the latest answer of the host in use, if there is one */
  #elect(known?: Answer): Promise<HostPool> {
    if (!this.#isList) return Promise.resolve(this.#current!);
    this.#electing ??= this.#askAll(known).finally(() => {
      this.#electing = undefined;
    });
    return this.#electing;
  }

  async #askAll(known: Answer | undefined): Promise<HostPool> {
    const inUse = this.#current?.address;
    const preferred = [...this.#hosts].sort(
      (a, b) => Number(b.address === inUse) - Number(a.address === inUse),
    );
    const asked: Asked[] = preferred.map(host => ({
      host,
      answer: known && host.address === inUse ? Promise.resolve(known) : ask(host),
    }));
    const found = await choose(asked, this.#limits.onlyReads === true);
    if (!found) throw await this.#noneOf(asked);
    if (found.address !== inUse) this.#moveTo(found);
    this.#isDoubted = false;
    for (const { address, probe } of this.#hosts) if (address !== found.address) probe.close();
    this.#watching ??= this.#watch();
    return this.#current!;
  }

  #moveTo(host: Host): void {
    const old = this.#current;
    this.#current = this.#poolOf(host);
    if (!old) return;
    const moved = `${host.address} takes writes in place of ${old.address}`;
    old.giveUp(cameFrom(Object.assign(new Error(moved), { code: 'ECONNRESET' }), old.address));
    this.#onMove(old.address, host.address);
  }

  async #noneOf(asked: readonly Asked[]): Promise<unknown> {
    const answers = await Promise.all(asked.map(({ answer }) => answer));
    // A wrong password, an unknown database or an untrusted certificate is not an outage of this host.
    for (const [index, answer] of answers.entries()) {
      if ('error' in answer && !isOutage(answer.error))
        return cameFrom(answer.error, asked[index]!.host.address);
    }
    const reasons = asked.map(({ host }, index) => `${host.address} (${answers[index]!.why})`).sort();
    return cameFrom(new NoWritableHostError(reasons), reasons.join(', '));
  }

  /** Notices that the host fell silent or lost its role, even if no statement is sent or all of them wait. */
  async #watch(): Promise<void> {
    for (;;) {
      await pause(WATCH_EVERY_MS, this.#closed.signal);
      if (this.#closed.signal.aborted) return;
      const inUse = this.#hosts.find(host => host.address === this.#current?.address)!;
      const answer = (await within(ask(inUse), SILENCE_MS)) ?? SILENT;
      if (answer.writes === 'yes' || this.#closed.signal.aborted) continue;
      this.#isDoubted = true;
      await this.#elect(answer).catch(() => {});
    }
  }

  #poolOf({ address, options }: Host): HostPool {
    return new HostPool(address, options, this.#limits);
  }
}

/** No host of the list takes writes. */
class NoWritableHostError extends Error {
  readonly code = 'NO_WRITABLE_HOST';
  constructor(reasons: readonly string[]) {
    super(`no host takes writes: ${reasons.join(', ')}`);
  }
}

function isOutage(error: unknown): boolean {
  return classifyDatabaseError(error) === 'unavailable';
}

async function ask(host: Host): Promise<Answer> {
  try {
    return await host.probe.ask();
  } catch (error) {
    return { writes: 'no', why: (error as { code?: string }).code ?? 'no answer', error };
  }
}

/** The first host in order that takes writes. After SILENCE_MS, the first one that answers `yes`. */
async function choose(asked: readonly Asked[], onlyReads: boolean): Promise<Host | undefined> {
  const chosen = new AbortController();
  const silence = pause(SILENCE_MS, chosen.signal).then(() => undefined);
  try {
    for (const { host, answer } of asked) {
      const said = await Promise.race([answer, silence]);
      if (said?.writes === 'yes') return host;
    }
    return (
      (await firstThat(asked, 'yes')) ??
      (await firstThat(asked, 'last-resort')) ??
      (onlyReads ? await firstThat(asked, 'no') : undefined)
    );
  } finally {
    chosen.abort();
  }
}

function firstThat(asked: readonly Asked[], writes: Condition['writes']): Promise<Host | undefined> {
  const fitting = asked.map(async ({ host, answer }) => {
    const said = await answer;
    if (said.writes !== writes || 'error' in said) throw new Error('not this one');
    return host;
  });
  return Promise.any(fitting).catch(() => undefined);
}
