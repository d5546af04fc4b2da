// The runbooks of docs/operating.md: their commands and statements run as they stand there, and what they say helps does.

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

/** What stands in the fences of a language, of one alert or of all. */
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
    // As anybody's server has it; the tests' other ones do without.
    startMysql({ flavour, directory: join(folder, 'mysql'), args: ['--performance-schema=ON'] }),
  ]);
  cleanUp(() => Promise.all([redis.stop(), mysql.stop()]));
  const servers = { redisUrl: redis.url, mysqlUrl: mysql.url };
  return openDeployment({ counters: { page_views: {} } }, { servers });
}

it.each(['mysql97', 'mariadb'] as const)(
  'hold on %s: everything in them runs, and a lock is found and ended',
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
        // InnoDB renews what it shows only where nobody has looked for a tenth of a second.
        await pause(200);
        return (await database.query(waits)).length > 0;
      }, 'the lock to be seen');
      expect((await database.query(transactions)).length).toBeGreaterThan(0);
      const [wait] = await database.query(waits);
      await database.query(wait!.sql_kill_blocking_connection);
      ended = true;
      await connection.query('SELECT 1');
    });
    // The transaction has lost its connection, and must not have failed before.
    await expect(held).rejects.toThrow();
    expect(ended).toBe(true);
    expect(await sluice(['drain'])).toMatchObject({ code: 0 });
    const [row] = await database.query('SELECT value FROM sluice_counters');
    expect(String(row?.value)).toBe('1');

    const statements = fenced('sql');
    expect(statements.length).toBeGreaterThan(4);
    for (const statement of statements) await database.query(statement);
    // What they print does not depend on the database's flavour.
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
