/** `sluice console` as a process on real servers, with a deployment full of odd texts, as the browser tests see it. */
import { Worker as Consumer } from 'bullmq';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { expect, onTestFinished } from 'vitest';
import { storedPassword } from '../../src/console/passwords.ts';
import type { Update } from '../../src/producer/index.ts';
import { openQueue } from '../../src/shared/redis/queue.ts';
import { openDeployment, startedLine } from './command.ts';
import { until } from './engine.ts';

export const PASSWORD = 'correct horse battery staple';
/** It would set `window.scriptRan`, whatever element or attribute it got into. */
export const SCRIPT = `"'><img src=x onerror="window.scriptRan=1"><script>window.scriptRan=1</script>`;

/** For all users, since scrypt takes its time on purpose. */
const stored = await storedPassword(PASSWORD);

const definitions = {
  counters: { views: { target: { table: 'products', key: 'id', column: 'views' } }, clicks: {} },
  points: { loyalty: { target: { table: 'users', key: 'id', column: 'points' } } },
  values: { best: { keep: 'max' } },
} as const;

export type ShownDeployment = Awaited<ReturnType<typeof openShown>>;

/**
 * A deployment whose mapped tables are empty, so that MySQL refuses updates for them.
 * @param roles of users; each has its role's name
 */
export async function openShown(roles: readonly string[] = ['viewer', 'operator', 'admin']) {
  const deployment = await openDeployment(definitions);
  const { database } = deployment;
  await database.query('CREATE TABLE products (id VARBINARY(255) PRIMARY KEY, views BIGINT NOT NULL)');
  await database.query('CREATE TABLE users (id VARBINARY(255) PRIMARY KEY, points INT NOT NULL)');
  // Without `sluice users`: a process and a hash for each user took most of the time of a test.
  const users = roles.map(role => [role, role, stored, new Date()]);
  if (users.length > 0)
    await database.query('INSERT INTO sluice_users (name, role, password, created_at) VALUES ?', [users]);
  return {
    ...deployment,
    /** Sends updates. */
    async ingest(lines: readonly Update[]) {
      const producer = await deployment.producer();
      for (const result of await producer.apply(lines)) expect(result).toMatchObject({ ok: true });
      await producer.close();
    },
    /** Entries of accounts `a1`, `a2` and so on, refused since these have no rows. Needs a worker. */
    async refuse(count: number) {
      const numbers = Array.from({ length: count }, (_, at) => at + 1);
      await this.ingest(
        numbers.map(n => ({ points: 'loyalty', account: `a${n}`, amount: n, id: `order-${n}` })),
      );
      await until(async () => (await this.quarantined()) === count, 'MySQL to refuse all');
    },
    /** Puts updates of accounts `a1` and so on into quarantine as a flush does, of any number, and of one partition. */
    async fill(count: number, partition: number) {
      await database.query(
        `INSERT INTO sluice_quarantine (partition_id, sequence, kind, name, item_key, amount, error_code, payload, created_at)
         SELECT ?, 1, 'counter', 'clicks', CONCAT('a', n), 1, 'ER_X', '{"updates":1}', UTC_TIMESTAMP(3)
         FROM JSON_TABLE(CONCAT('[1', REPEAT(',1', ?), ']'), '$[*]' COLUMNS (n FOR ORDINALITY)) j`,
        [partition, count - 1],
      );
    },
    async quarantined(): Promise<number> {
      const [row] = await database.query('SELECT COUNT(*) AS there FROM sluice_quarantine');
      return Number(row!.there);
    },
    /** Makes rows for accounts `a1` and so on, so that their updates can be replayed. */
    async addAccounts(count: number) {
      const rows = Array.from({ length: count }, (_, at) => `('a${at + 1}', 0)`);
      await database.query(`INSERT INTO users VALUES ${rows.join(', ')}`);
    },
    async pointsOf(account: string): Promise<number | undefined> {
      const [row] = await database.query('SELECT points FROM users WHERE id = ?', [account]);
      return row && Number(row.points);
    },
    async console(more: Record<string, string> = {}) {
      const process = deployment.start(['console'], { SLUICE_CONSOLE_PORT: '0', ...more });
      const { port } = await startedLine(process, '"console started"');
      return { ...process, base: `http://127.0.0.1:${port}` };
    },
    /** Makes a flush job fail with this error. */
    async failJob(error: string) {
      const connection = deployment.redis.duplicate({ maxRetriesPerRequest: null });
      const queue = openQueue(connection, deployment.keys);
      const consumer = new Consumer(queue.name, () => Promise.reject(new Error(error)), {
        connection: connection.duplicate(),
        prefix: deployment.keys.queuePrefix,
      });
      await queue.add('flush' as never, { partition: 0 }, { attempts: 1 });
      await until(async () => (await queue.getFailedCount()) > 0, 'the job to fail');
      await consumer.close();
      await queue.close();
      connection.disconnect();
    },
  };
}

/** A context of its own for this test, with all that its pages complain of. */
export async function openContext(browser: Browser, options: Parameters<Browser['newContext']>[0] = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  onTestFinished(() => context.close());
  const complaints: string[] = [];
  context.on('console', message => {
    // A refused request is shown on the page; the browser logs it too.
    if (message.type() === 'error' && !/^Failed to load resource/.test(message.text()))
      complaints.push(message.text());
  });
  context.on('weberror', error => complaints.push(String(error.error().stack)));
  return { context, complaints };
}

/** Logs in by the form, and waits for the verdict. */
export async function logIn(context: BrowserContext, base: string, name: string): Promise<Page> {
  const page = await context.newPage();
  await page.goto(base);
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Log in', exact: true }).click();
  await page.locator('[data-verdict]').waitFor();
  return page;
}
