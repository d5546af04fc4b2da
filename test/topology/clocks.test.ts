// Wrong wall clocks do not disturb wake-ups. The sweep is off, so only wake-ups flush.

import { beforeAll, describe, expect, it } from 'vitest';
import { createProducer } from '../../src/producer/producer.ts';
import { openDeployment } from '../support/command.ts';
import { type Servers, until } from '../support/engine.ts';
import { openProxy } from '../support/proxy.ts';
import { ownServers } from '../support/servers.ts';

const HOUR = 3_600_000;

/** Shifts the wall clock of a process; SIGUSR2 reverses the shift. */
const SHIM = `
  const { Date: Right } = globalThis;
  let shift = Number(process.env.TEST_CLOCK_SHIFT_MS);
  globalThis.Date = class Date extends Right {
    constructor(...given) {
      if (given.length > 0) super(...given);
      else super(Right.now() + shift);
    }
    static now() {
      return Right.now() + shift;
    }
  };
  process.on('SIGUSR2', () => {
    shift = -shift;
  });
`;

function shifted(ms: number) {
  const NODE_OPTIONS = `--import data:text/javascript,${encodeURIComponent(SHIM)}`;
  return { NODE_OPTIONS, TEST_CLOCK_SHIFT_MS: String(ms) };
}

let servers: Servers;
beforeAll(async () => {
  servers = (await ownServers()).servers;
});

const definitions = { counters: { views: {} } } as const;

async function open() {
  const deployment = await openDeployment(definitions, { servers });
  const { REDIS_URL: redis, MYSQL_URL: mysql } = deployment.env as Record<'REDIS_URL' | 'MYSQL_URL', string>;
  const settings = { partitions: deployment.keys.partitions };
  const noSweep = { SLUICE_SWEEP_INTERVAL_MS: '60000', SLUICE_STUCK_AFTER_MS: '600000' };
  const written = async (key: string, value: number) => {
    const [row] = await deployment.database.query('SELECT value FROM sluice_counters WHERE counter_key = ?', [
      Buffer.from(key),
    ]);
    return Number(row?.value) === value;
  };
  return {
    ...deployment,
    worker: (env = {}) => deployment.worker({ ...noSweep, ...env }),
    /** Sends an update from a new producer, whose clock is right. */
    async send(key: string) {
      const producer = await createProducer({
        redis,
        mysql,
        definitions,
        namespace: deployment.name,
        settings,
      });
      await producer.counter('views').increment(key);
      await producer.close();
    },
    /** Sends an update from a process with another clock. */
    async sendAt(shift: number, key: string) {
      const line = `${JSON.stringify({ counter: 'views', key })}\n`;
      expect(await deployment.sluice(['ingest', '-'], shifted(shift), line)).toMatchObject({ code: 0 });
    },
    flushed: (key: string, value = 1) => until(() => written(key, value), `${key} in MySQL`),
  };
}

describe.each([
  ['with a clock an hour ahead', HOUR],
  ['with a clock an hour behind', -HOUR],
])('%s', (_, shift) => {
  it('a producer wakes workers, and does not keep others from doing so', async () => {
    const { worker, send, sendAt, flushed } = await open();
    await worker();
    await sendAt(shift, 'a');
    await flushed('a');
    await send('a');
    await flushed('a', 2);
  });

  it('a worker is woken for every update', async () => {
    const { worker, send, flushed } = await open();
    await worker(shifted(shift));
    for (const key of ['a', 'b', 'c']) {
      await send(key);
      await flushed(key);
    }
  });

  it('a worker retries after an outage, and does not keep others from retrying', async () => {
    const { worker, send, flushed, env } = await open();
    const proxy = await openProxy(env.MYSQL_URL!);
    const wrong = await worker({ ...shifted(shift), MYSQL_URL: proxy.url });
    await send('a');
    await flushed('a');
    proxy.refuse();
    await send('b');
    await until(() => wrong.stdout().includes('the database is away'), 'the breaker to open');
    proxy.open();
    await flushed('b');

    proxy.refuse();
    const from = wrong.stdout().length;
    await send('c');
    await until(() => wrong.stdout().slice(from).includes('the database is away'), 'the breaker to open');
    await worker();
    wrong.child.kill('SIGKILL');
    await send('c');
    await flushed('c', 2);
  });

  it('a running worker survives a step of its clock', async () => {
    const { worker, send, flushed } = await open();
    const { child } = await worker(shifted(shift));
    await send('a');
    await flushed('a');
    child.kill('SIGUSR2');
    for (const key of ['b', 'c']) {
      await send(key);
      await flushed(key);
    }
  });
});
