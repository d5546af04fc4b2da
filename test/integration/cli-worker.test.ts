// `sluice worker` as a process: its start, its HTTP port, its log and its end.

import { createServer } from 'node:net';
import { expect, inject, it } from 'vitest';
import { cleanUp } from '../support/cleanup.ts';
import { jsonLines, openDeployment, workerPort } from '../support/command.ts';
import { until } from '../support/engine.ts';
import { readSamples } from '../support/prometheus.ts';

const definitions = { counters: { page_views: {} }, points: { loyalty: {} } } as const;
const view = (key: string) => `{"counter":"page_views","key":"${key}"}\n`;

/** A password that cannot appear in a log by chance. */
const SECRET = 'hunter2-5e%c';

it('a worker finishes its batch on SIGTERM, and exits 0', async () => {
  const deployment = await openDeployment(definitions);
  const worker = await deployment.worker();
  await deployment.database.transaction(async connection => {
    // The batch waits for the lock on this row.
    await connection.query("INSERT INTO sluice_counters VALUES ('page_views', '/', 41, UTC_TIMESTAMP(3))");
    expect((await deployment.sluice(['ingest', '-'], {}, view('/'))).code).toBe(0);
    const state = deployment.keys.state(deployment.keys.partitionOf('/'));
    await until(async () => Boolean(await deployment.redis.hget(state, 'token')), 'a batch in flight');
    // Two signals at once, as npm and the terminal send them, count as one.
    worker.child.kill('SIGTERM');
    worker.child.kill('SIGINT');
    await until(
      () => worker.stdout().includes('worker stops after its current batch'),
      'the signal to arrive',
    );
    expect(worker.child.exitCode).toBeNull();
    const readiness = await fetch(`http://127.0.0.1:${worker.port}/readyz`);
    expect(readiness.status).toBe(503);
    expect(await readiness.json()).toMatchObject({ ready: false, flushing: 'stopping' });
    const asked = { SLUICE_HTTP_PORT: String(worker.port) };
    expect((await deployment.sluice(['health', '--ready'], asked)).code).toBe(1);
    expect((await deployment.sluice(['health'], asked)).code).toBe(0);
  });
  expect((await worker.ended).code).toBe(0);
  const [row] = await deployment.database.query('SELECT value FROM sluice_counters');
  expect(String(row?.value)).toBe('42');
  expect((await deployment.sluice(['drain', '--timeout', '0'])).code).toBe(0);
});

it.each([
  ['at its deadline', false, 'worker did not stop before its deadline'],
  ['on a second signal', true, 'second signal to stop'],
])(
  'a worker leaves a batch that it cannot finish in flight %s and exits 1, and another worker writes it',
  async (_, twice, said) => {
    const deployment = await openDeployment(definitions);
    // The lock wait exceeds the deadline; with two signals, the deadline exceeds the time to the second one.
    const more = { SLUICE_SHUTDOWN_DEADLINE_MS: twice ? '30000' : '700', SLUICE_LOCK_WAIT_SECONDS: '60' };
    const worker = await deployment.worker(more);
    await deployment.database.transaction(async connection => {
      await connection.query("INSERT INTO sluice_counters VALUES ('page_views', '/', 41, UTC_TIMESTAMP(3))");
      expect((await deployment.sluice(['ingest', '-'], {}, view('/'))).code).toBe(0);
      const state = deployment.keys.state(deployment.keys.partitionOf('/'));
      await until(async () => Boolean(await deployment.redis.hget(state, 'token')), 'a batch in flight');
      worker.child.kill('SIGTERM');
      await until(() => worker.stdout().includes('worker stops after'), 'the signal to arrive');
      // Signals close together count as one, so this repeats until one counts as the second.
      const again = twice ? setInterval(() => worker.child.kill('SIGTERM'), 100) : undefined;
      const { code, stdout } = await worker.ended;
      clearInterval(again);
      expect(code).toBe(1);
      expect(stdout).toContain(said);
    });
    await deployment.worker();
    expect((await deployment.sluice(['drain'])).code).toBe(0);
    const [row] = await deployment.database.query('SELECT value FROM sluice_counters');
    expect(String(row?.value)).toBe('42');
  },
);

it('a worker needs a database, a schema and a port', async () => {
  const bare = await openDeployment(definitions, { migrated: false });
  for (const args of [['worker'], ['status'], ['ingest', '-']]) {
    const outcome = await bare.sluice(args);
    expect(outcome.code).toBe(2);
    expect(outcome.stderr).toMatch(/^sluice: NOT_MIGRATED: .*run sluice migrate\.$/m);
  }
  const nowhere = `${bare.env.MYSQL_URL}_`;
  for (const command of ['migrate', 'worker']) {
    const outcome = await bare.sluice([command], { MYSQL_URL: nowhere });
    expect(outcome.code).toBe(2);
    expect(outcome.stderr).toMatch(
      inject('hostile')
        ? /^sluice: ACCESS_DENIED: .*there is no such database, or this user may not use it/m
        : /^sluice: DATABASE_UNSUITABLE: The database that MYSQL_URL names does not exist .*CREATE DATABASE/m,
    );
  }
  const deployment = await openDeployment(definitions);
  const other = createServer();
  await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve));
  cleanUp(() => other.close());
  const { port } = other.address() as { port: number };
  const taken = await deployment.sluice(['worker'], { SLUICE_HTTP_PORT: String(port) });
  expect(taken.code).toBe(2);
  expect(taken.stderr).toMatch(
    new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port} \\(EADDRINUSE\\).*SLUICE_HTTP_PORT`),
  );
});

it('a worker serves health, readiness and every metric on the port that it logs', async () => {
  const deployment = await openDeployment(definitions);
  const worker = await deployment.worker();
  await deployment.sluice(['ingest', '-'], {}, view('/').repeat(3));
  expect((await deployment.sluice(['drain'])).code).toBe(0);
  const get = async (path: string, init?: RequestInit) => {
    const response = await fetch(`http://127.0.0.1:${worker.port}${path}`, init ?? {});
    return { status: response.status, text: await response.text(), headers: response.headers };
  };
  expect(await get('/healthz')).toMatchObject({ status: 200, text: '{"status":"ok"}\n' });
  const ready = await get('/readyz');
  expect(ready.status).toBe(200);
  expect(JSON.parse(ready.text)).toEqual({
    ready: true,
    redis: 'connected',
    database: 'connected',
    flushing: 'idle',
    lagSeconds: 0,
  });
  const asked = { SLUICE_HTTP_PORT: String(worker.port), SLUICE_HTTP_HOST: '0.0.0.0' };
  expect(await deployment.sluice(['health'], asked)).toEqual({
    code: 0,
    stdout: '{"status":"ok"}\n',
    stderr: '',
  });
  expect(await deployment.sluice(['health', '--ready'], asked)).toMatchObject({
    code: 0,
    stdout: ready.text,
  });
  expect((await get('/elsewhere')).status).toBe(404);
  expect((await get('/metrics', { method: 'POST' })).status).toBe(405);
  const metrics = await get('/metrics');
  expect(metrics.headers.get('content-type')).toMatch(/^text\/plain; version=/);
  const samples = readSamples(metrics.text);
  for (let partition = 0; partition < 4; partition++) {
    for (const name of ['sluice_pending_updates', 'sluice_pending_keys', 'sluice_flush_lag_seconds'])
      expect(samples.get(`${name}{partition="${partition}"}`), name).toBe(0);
  }
  for (const state of ['waiting', 'active', 'delayed', 'failed'])
    expect(samples.has(`sluice_queue_depth{state="${state}"}`), state).toBe(true);
  for (const kind of ['unavailable', 'conflict', 'refused', 'other', 'halted'])
    expect(samples.get(`sluice_flush_errors_total{class="${kind}"}`), kind).toBe(0);
  expect(samples.get('sluice_flushed_updates_total')).toBe(3);
  expect(samples.get('sluice_flushed_rows_total')).toBeGreaterThanOrEqual(1);
  expect(samples.get('sluice_update_persist_seconds_count')).toBe(3);
  expect(samples.get('sluice_update_persist_seconds_bucket{le="+Inf"}')).toBe(3);
  expect(samples.get('sluice_update_persist_seconds_sum')).toBeGreaterThan(0);
  expect(samples.get('sluice_flush_duration_seconds_count')).toBeGreaterThanOrEqual(1);
  expect(samples.has('sluice_flush_duration_seconds_bucket{le="+Inf"}')).toBe(true);
  for (const name of ['quarantined_entries', 'batches_skipped_total', 'breaker_open', 'rewinds_total'])
    expect(samples.get(`sluice_${name}`), name).toBe(0);
  worker.child.kill('SIGINT');
  expect((await worker.ended).code).toBe(0);
  const gone = await deployment.sluice(['health'], asked);
  expect(gone.code).toBe(1);
  expect(gone.stderr).toMatch(
    /^sluice: no worker answers at http:\/\/127\.0\.0\.1:\d+\/healthz \(ECONNREFUSED\); check that it runs, .*\.$/m,
  );
});

it('a worker logs JSON lines without secrets at every level, whatever goes wrong', async () => {
  const deployment = await openDeployment(definitions);
  const { name, redis, database } = deployment;
  // On hostile servers Sluice's own user has the name of the deployment.
  const user = `${name}_s`;
  await redis.call('ACL', 'SETUSER', user, 'on', `>${SECRET}`, '~*', '&*', '+@all');
  await database.query(`CREATE USER ${user}@'%' IDENTIFIED BY '${SECRET}'`);
  await database.query(`GRANT ALL ON ${name}.* TO ${user}@'%'`);
  cleanUp(async () => {
    await redis.call('ACL', 'DELUSER', user);
    await database.query(`DROP USER ${user}@'%'`);
  });
  const withUser = (url: string, password: string) =>
    url.replace(/\/\/(?:[^@]*@)?/, `//${user}:${encodeURIComponent(password)}@`);
  const env = {
    REDIS_URL: withUser(deployment.env.REDIS_URL!, SECRET),
    MYSQL_URL: withUser(deployment.env.MYSQL_URL!, SECRET),
    SLUICE_LOG_LEVEL: 'trace',
  };
  const worker = deployment.start(['worker'], env);
  await workerPort(worker);
  expect((await deployment.sluice(['ingest', '-'], env, view('before'))).code).toBe(0);
  // The worker's password changes, and changes back.
  await redis.call('ACL', 'SETUSER', user, 'resetpass', '>other');
  await redis.call('CLIENT', 'KILL', 'USER', user);
  await until(() => worker.stdout().includes('WRONGPASS'), 'the worker to be refused');
  await redis.call('ACL', 'SETUSER', user, 'resetpass', `>${SECRET}`);
  expect((await deployment.sluice(['ingest', '-'], env, view('after'))).code).toBe(0);
  expect(await deployment.sluice(['drain'], env)).toMatchObject({ code: 0 });
  worker.child.kill('SIGTERM');
  const end = await worker.ended;
  expect({ code: end.code, stderr: end.stderr }).toEqual({ code: 0, stderr: '' });
  const lines = jsonLines(end.stdout);
  expect(lines.some(line => JSON.stringify(line.err)?.includes('WRONGPASS'))).toBe(true);
  for (const line of lines)
    expect(line).toMatchObject({
      level: expect.any(String),
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      name: 'sluice',
    });

  const wrong = 'wrong-7a1f';
  // At this level a command logs the stack of its error.
  const debug = { ...env, SLUICE_LOG_LEVEL: 'debug' };
  const denied = await Promise.all([
    deployment.sluice(['worker'], { ...debug, REDIS_PASSWORD: wrong }),
    deployment.sluice(['worker'], { ...debug, MYSQL_PASSWORD: wrong }),
    deployment.sluice(['status'], { ...debug, REDIS_URL: withUser(deployment.env.REDIS_URL!, wrong) }),
    deployment.sluice(['migrate'], { ...debug, MYSQL_URL: withUser(deployment.env.MYSQL_URL!, wrong) }),
    deployment.sluice(['ingest', '-'], { ...debug, REDIS_USERNAME: 'nobody' }),
  ]);
  for (const { code, stderr } of denied) {
    expect(code).toBe(2);
    expect(stderr).toMatch(/^sluice: ACCESS_DENIED: /m);
    expect(stderr).toMatch(/^AccessDeniedError: [\s\S]*\n {4}at /m);
  }
  const said = [end, ...denied].map(outcome => outcome.stdout + outcome.stderr).join('');
  for (const secret of [SECRET, encodeURIComponent(SECRET), wrong]) expect(said).not.toContain(secret);
});

it('a worker logs figures for CloudWatch only if it is asked to', async () => {
  const deployment = await openDeployment(definitions);
  const quiet = await deployment.worker();
  const worker = await deployment.worker({ SLUICE_EMF: '1' });
  const figures = () => {
    const whole = worker.stdout();
    return jsonLines(whole.slice(0, whole.lastIndexOf('\n'))).filter(line => '_aws' in line);
  };
  await until(() => figures().length > 0, 'a line with figures');
  expect(figures()[0]).toMatchObject({
    Workers: 1,
    FlushLagSeconds: 0,
    PendingUpdates: 0,
    Quarantined: 0,
    BreakerOpen: 0,
  });
  expect(quiet.stdout()).not.toContain('_aws');
});
