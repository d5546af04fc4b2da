// The runbooks of docs/operating.md: their commands and statements run as written, and their cure works.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { startMysql, startRedis } from '../../scripts/servers.ts';
import { cleanUp } from '../support/cleanup.ts';
import { openDeployment } from '../support/command.ts';
import { until } from '../support/engine.ts';
import { temporaryFolder } from '../support/servers.ts';

const page = readFileSync(new URL('../../docs/operating.md', import.meta.url), 'utf8');
const runbooks = /\n## Alerts\n([\s\S]*?)\n## /.exec(page)![1]!;

/** The fenced blocks in this language, of one alert or of all. */
function fenced(language: 'sql' | 'sh', alert?: string): string[] {
  const text = alert ? new RegExp(`### ${alert}\n([\\s\\S]*?)(?:\n###|$)`).exec(runbooks)![1]! : runbooks;
  return [...text.matchAll(new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``, 'g'))]
    .flatMap(([, block]) => block!.split(language === 'sql' ? /;\n/ : '\n'))
    .filter(line => line.trim() !== '');
}

const words = (line: string) =>
  [...line.replace(/#.*/, '').matchAll(/"([^"]*)"|\S+/g)].map(([word, quoted]) => quoted ?? word);

async function openOn(flavour: 'mysql97' | 'mariadb') {
  const folder = await temporaryFolder();
  const [redis, mysql] = await Promise.all([
    startRedis({ flavour: 'redis8', directory: join(folder, 'redis') }),
    // Servers usually have the performance schema on; those of the other tests have it off.
    startMysql({ flavour, directory: join(folder, 'mysql'), args: ['--performance-schema=ON'] }),
  ]);
  cleanUp(() => Promise.all([redis.discard(), mysql.discard()]));
  const servers = { redisUrl: redis.url, mysqlUrl: mysql.url };
  return openDeployment({ counters: { page_views: {} } }, { servers });
}

it.each(['mysql97', 'mariadb'] as const)(
  'on %s everything in the runbooks runs, and they find and end a lock',
  async flavour => {
    const { database, worker, sluice } = await openOn(flavour);
    await worker();
    const [waits, transactions] = fenced('sql', 'SluicePartitionStuck') as [string, string];
    let ended = false;
    const held = database.transaction(async connection => {
      await connection.query("INSERT INTO sluice_counters VALUES ('page_views', '/', 41, UTC_TIMESTAMP(3))");
      expect(await sluice(['ingest', '-'], {}, '{"counter":"page_views","key":"/"}\n')).toMatchObject({
        code: 0,
      });
      await until(async () => {
        // InnoDB refreshes the view only after 0.1 s without a query.
        await pause(200);
        return (await database.query(waits)).length > 0;
      }, 'the lock to be seen');
      expect((await database.query(transactions)).length).toBeGreaterThan(0);
      const [wait] = await database.query(waits);
      await database.query(wait!.sql_kill_blocking_connection);
      ended = true;
      await connection.query('SELECT 1');
    });
    // The connection fails because it was ended, and not earlier.
    await expect(held).rejects.toThrow();
    expect(ended).toBe(true);
    expect(await sluice(['drain'])).toMatchObject({ code: 0 });
    const [row] = await database.query('SELECT value FROM sluice_counters');
    expect(String(row?.value)).toBe('1');

    const statements = fenced('sql');
    expect(statements.length).toBeGreaterThan(4);
    for (const statement of statements) await database.query(statement);
    // The output of the commands does not depend on the flavour.
    if (flavour === 'mariadb') return;
    const commands = fenced('sh');
    expect(commands.length).toBeGreaterThan(6);
    for (const line of commands) {
      const [program, ...args] = words(line);
      expect(program, line).toBe('sluice');
      expect(await sluice(args), line).toMatchObject({ code: 0 });
    }
  },
  120_000,
);
