// `npm run memory`: bytes of Redis per pending counter key, pending entry, hold, remembered id and live value on
// each server, which tell what an outage of MySQL costs. It writes the table of docs/memory.md.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startMysql, startRedis } from '../scripts/servers.ts';
import { parseSettings } from '../src/shared/config/settings.ts';
import { Database } from '../src/shared/mysql/database.ts';
import { migrate } from '../src/shared/mysql/migrate.ts';
import { measureMemory } from './memory-growth.ts';
import { type Figures, memoryPage, pageFile, sizes } from './memory-page.ts';

// A busy machine needs longer for thousands of updates at once, and bytes do not depend on it.
const settings = parseSettings({ callTimeoutMs: 30_000 });
const say = (text: string) => process.stderr.write(`${text}\n`);

const folder = mkdtempSync(join(tmpdir(), 'sluice-memory-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const mysql = await startMysql({ flavour: 'mysql97', directory: join(folder, 'mysql') });
const figures: Figures[] = [];
try {
  for (const [flavour, title] of [
    ['redis7', 'Redis'],
    ['redis8', 'Redis'],
    ['valkey9', 'Valkey'],
  ] as const) {
    const limits = { connections: 1, idleTransactionSeconds: 60, lockWaitSeconds: 10 };
    const admin = new Database({ url: `${mysql.url}/information_schema` }, limits);
    await admin.query(`CREATE DATABASE ${flavour}`);
    await admin.close();
    const database = new Database({ url: `${mysql.url}/${flavour}` }, limits);
    await migrate(database, settings.partitions);
    await database.close();
    const redis = await startRedis({ flavour, directory: join(folder, flavour) });
    try {
      const mysqlUrl = `${mysql.url}/${flavour}`;
      const deployment = { redisUrl: redis.url, mysqlUrl, namespace: 'sluice', settings };
      const growth = await measureMemory(deployment, sizes.count, 'everything');
      const found = { server: `${title} ${redis.version}`, ...growth };
      say(JSON.stringify(found));
      figures.push(found);
    } finally {
      await redis.discard();
    }
  }
} finally {
  await mysql.discard();
}
writeFileSync(pageFile, memoryPage(readFileSync(pageFile, 'utf8'), figures, settings.partitions));
process.exit(0);
