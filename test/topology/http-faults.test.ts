// `sluice serve` under faults, with processes and servers of the test's own: every answered update is in MySQL
// exactly once, and what has no answer is completed by a repeated request.

import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';
import { expect, it } from 'vitest';
import { openDeployment } from '../support/command.ts';
import { until } from '../support/engine.ts';
import { ownServers } from '../support/servers.ts';

const definitions = { counters: { page_views: {} }, points: { loyalty: {} } } as const;
const KEYS = 50;

type Deployment = Awaited<ReturnType<typeof openDeployment>>;
type Api = Awaited<ReturnType<Deployment['serve']>>;

async function open() {
  const own = await ownServers();
  const deployment = await openDeployment(definitions, { servers: own.servers });
  const first = await deployment.serve();
  /** Another process, for which the key of the first is valid too. */
  const second = () => deployment.serve({}, first.key);
  return { ...own, deployment, api: first, second };
}

/** Every second line counts, every other one credits; `Idempotency-Key` gives all of them ids. */
function linesOf(count: number): string[] {
  return Array.from({ length: count }, (_, n) =>
    n % 2 === 0
      ? `{"counter":"page_views","key":"k${n % KEYS}"}\n`
      : `{"points":"loyalty","account":"a${n % KEYS}","amount":1}\n`,
  );
}

const agent = new Agent({ keepAlive: true });

/** A stream of updates that the test writes piece by piece. */
function stream(api: Api, run: string) {
  const sent = request(`${api.base}/v1/updates`, {
    method: 'POST',
    agent,
    headers: {
      authorization: `Bearer ${api.key}`,
      'content-type': 'application/x-ndjson',
      'idempotency-key': run,
    },
  });
  sent.on('error', () => {});
  const answered = once(sent, 'response').then(async ([response]: IncomingMessage[]) => {
    let text = '';
    for await (const part of response!) text += part;
    return text
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line));
  });
  // The test may never ask for it.
  answered.catch(() => {});
  return {
    write: async (lines: readonly string[]) => {
      if (!sent.write(lines.join(''))) await once(sent, 'drain');
    },
    end: async () => {
      sent.end();
      return answered;
    },
    leave: () => sent.destroy(),
  };
}

/** Sends the whole run at once; returns the last line of the answer. */
async function sendAll(api: Api, run: string, lines: readonly string[]) {
  const { write, end } = stream(api, run);
  await write(lines);
  return (await end()).at(-1);
}

async function inMysql({ database }: Deployment) {
  const [views] = await database.query('SELECT COALESCE(SUM(value), 0) AS n FROM sluice_counters');
  const [balances] = await database.query('SELECT COALESCE(SUM(balance), 0) AS n FROM sluice_accounts');
  const ids = await database.query('SELECT entry_id AS id FROM sluice_entries');
  return {
    views: Number(views!.n),
    points: Number(balances!.n),
    ids: ids.map(({ id }) => String(id)),
  };
}

const inAll = async (deployment: Deployment) => {
  const { views, points } = await inMysql(deployment);
  return views + points;
};

async function drain(deployment: Deployment) {
  const { code, stderr } = await deployment.sluice(['drain', '--timeout', '60']);
  expect(code, stderr).toBe(0);
}

/** Whether nobody takes connections on the port. */
function isClosed({ base }: Api): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(Number(new URL(base).port), '127.0.0.1', () => {
      socket.destroy();
      resolve(false);
    });
    socket.on('error', () => resolve(true));
  });
}

/** MySQL holds each line of the run exactly once. */
async function expectWhole(deployment: Deployment, run: string, count: number) {
  await drain(deployment);
  const { views, points, ids } = await inMysql(deployment);
  expect({ views, points }).toEqual({ views: count / 2, points: count / 2 });
  const wanted = Array.from({ length: count / 2 }, (_, n) => `${run}:${2 * n + 2}`);
  expect(ids.toSorted()).toEqual(wanted.toSorted());
}

it('workers that are killed while a stream runs lose none of its lines', { timeout: 120_000 }, async () => {
  const { deployment, api } = await open();
  const lines = linesOf(12_000);
  const { write, end } = stream(api, 'killed');
  for (let part = 0; part < 3; part++) {
    const before = await inAll(deployment);
    const worker = await deployment.worker();
    await write(lines.slice(4000 * part, 4000 * (part + 1)));
    await until(async () => (await inAll(deployment)) > before, 'a flush', 30_000);
    worker.child.kill('SIGKILL');
    await worker.ended;
  }
  expect((await end()).at(-1)).toEqual({
    done: true,
    lines: 12_000,
    accepted: 12_000,
    duplicates: 0,
    refused: 0,
  });
  await deployment.worker();
  await expectWhole(deployment, 'killed', 12_000);
});

it('a Redis that is killed under load and restarted: what was answered counts once', {
  timeout: 120_000,
}, async () => {
  const { deployment, api, redis } = await open();
  await deployment.worker();
  const headers = { authorization: `Bearer ${api.key}`, 'content-type': 'application/json' };
  const post = (path: string, body: unknown) =>
    fetch(`${api.base}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  let stop = false;
  let ids = 0;
  let refusals = 0;
  const counted = { answered: 0, unknown: 0 };
  /** Repeats an entry with its id until it is answered, and counts once without an id. */
  const client = async () => {
    while (!stop) {
      const entry = { account: 'single', amount: 1, id: `single-${ids++}` };
      for (let answered = false; !answered; ) {
        const reply = await post('/v1/points/loyalty/entries', entry);
        answered = reply.ok;
        if (answered) continue;
        refusals++;
        expect(await reply.json()).toMatchObject({ status: 503, retryable: true });
      }
      const reply = await post('/v1/counters/page_views', { key: 'single' });
      if (reply.ok) counted.answered++;
      else if (((await reply.json()) as { applied: string }).applied !== 'no') counted.unknown++;
    }
  };
  const clients = Array.from({ length: 8 }, client);
  const lines = linesOf(12_000);
  const { write, end } = stream(api, 'restarted');
  for (let part = 0; part < 3; part++) {
    await write(lines.slice(4000 * part, 4000 * (part + 1)));
    const before = refusals;
    redis.kill('SIGKILL');
    await until(() => refusals > before, 'a refused request', 30_000);
    await redis.restart();
    const known = ids;
    await until(() => ids > known + 20, 'requests that are answered again', 30_000);
  }
  const last = (await end()).at(-1);
  stop = true;
  await Promise.all(clients);
  expect(last).toMatchObject({ done: true, lines: 12_000, refused: 0 });
  // A line whose call had no answer is sent again by the API, and may be a duplicate then.
  expect(last.accepted + last.duplicates).toBe(12_000);
  await drain(deployment);
  const { views, points, ids: entries } = await inMysql(deployment);
  expect(points).toBe(6000 + ids);
  expect(new Set(entries).size).toBe(entries.length);
  expect(entries).toHaveLength(6000 + ids);
  expect(views).toBeGreaterThanOrEqual(6000 + counted.answered);
  expect(views).toBeLessThanOrEqual(6000 + counted.answered + counted.unknown);
});

it('a client that goes away, then an API that is killed: the same run completes what they left', {
  timeout: 120_000,
}, async () => {
  const { deployment, api, second } = await open();
  await deployment.worker();
  const lines = linesOf(8000);
  const [half, more] = [lines.slice(0, 4000), lines.slice(4000, 7000)];
  const left = stream(api, 'left');
  await left.write(half);
  // The client goes away in the middle of a line.
  await left.write([lines[4000]!.slice(0, 15)]);
  await until(async () => (await inAll(deployment)) >= 2000, 'lines in MySQL', 30_000);
  left.leave();
  await drain(deployment);
  const taken = await inAll(deployment);
  expect(taken).toBeGreaterThanOrEqual(2000);
  expect(taken).toBeLessThanOrEqual(4000);

  const killed = stream(api, 'left');
  await killed.write([...half, ...more]);
  await until(async () => (await inAll(deployment)) > taken, 'further lines in MySQL', 30_000);
  api.child.kill('SIGKILL');
  await api.ended;
  await expect(killed.end()).rejects.toThrow();
  await drain(deployment);
  const now = await inAll(deployment);
  expect(now).toBeLessThanOrEqual(7000);

  const last = await sendAll(await second(), 'left', lines);
  expect(last).toEqual({ done: true, lines: 8000, accepted: 8000 - now, duplicates: now, refused: 0 });
  await expectWhole(deployment, 'left', 8000);
});

it('a request to an API that is frozen, repeated at another one, counts once', {
  timeout: 120_000,
}, async () => {
  const { deployment, api, second } = await open();
  const other = await second();
  const credit = ({ base, key }: Api) =>
    fetch(`${base}/v1/points/loyalty/entries`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        'idempotency-key': 'frozen',
      },
      body: '{"account":"a","amount":5}',
    });
  api.child.kill('SIGSTOP');
  const first = credit(api);
  const reply = await credit(other);
  expect([reply.status, await reply.json()]).toMatchObject([201, { value: 5, duplicate: false }]);
  api.child.kill('SIGCONT');
  const late = await first;
  expect([late.status, await late.json()]).toMatchObject([200, { value: 5, duplicate: true }]);
  await deployment.worker();
  await drain(deployment);
  expect(await inMysql(deployment)).toEqual({ views: 0, points: 5, ids: ['frozen'] });
});

it('SIGTERM lets a stream end, over a connection that its client keeps, and the process exits 0', {
  timeout: 120_000,
}, async () => {
  const { deployment, api } = await open();
  await deployment.worker();
  const lines = linesOf(4000);
  const { write, end } = stream(api, 'stopped');
  await write(lines.slice(0, 2000));
  await until(async () => (await inAll(deployment)) > 0, 'lines in MySQL', 30_000);
  api.child.kill('SIGTERM');
  await until(() => isClosed(api), 'no new connections', 30_000);
  await write(lines.slice(2000));
  expect((await end()).at(-1)).toMatchObject({ done: true, lines: 4000, accepted: 4000 });
  expect((await api.ended).code).toBe(0);
  await expectWhole(deployment, 'stopped', 4000);
});
