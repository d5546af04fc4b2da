// docs/adopting.md, step by step on an example database: writers of both kinds go on all the time, and readers
// check every answer. The statements and commands are those of the page.

import { readFileSync } from 'node:fs';
import type { PoolConnection, ResultSetHeader } from 'mysql2/promise';
import { expect, it } from 'vitest';
import type { Sluice } from '../../src/producer/client.ts';
import { createProducer } from '../../src/producer/producer.ts';
import { pause } from '../../src/shared/clock.ts';
import type { DefinitionsInput } from '../../src/shared/config/definitions.ts';
import { Database, queryRow } from '../../src/shared/mysql/database.ts';
import { cleanUp } from '../support/cleanup.ts';
import { openDeployment } from '../support/command.ts';
import { until } from '../support/engine.ts';

const page = readFileSync(new URL('../../docs/adopting.md', import.meta.url), 'utf8');
/** The page's blocks of a language, without their indentation. */
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`^( *)\`\`\`${language}\\n([^]*?)^ *\`\`\``, 'gm'))].map(([, indent, text]) =>
    text!.replaceAll(new RegExp(`^${indent}`, 'gm'), '').trim(),
  );
const commands = blocks('sh').flatMap(block => block.split('\n'));
/** The arguments of the page's command that contains a text. */
const argumentsOf = (text: string) =>
  [...commands.find(command => command.includes(text))!.matchAll(/"([^"]*)"|(\S+)/g)]
    .map(([, quoted, plain]) => quoted ?? plain!)
    .slice(1);
const statements = blocks('sql')
  .flatMap(block => block.split(/;\n\n/))
  .map(text => text.replace(/;$/, ''));
const statement = (text: string) => statements.find(one => one.includes(text))!;

/** Each command is a process, and a busy machine needs seconds to start one. */
const PATIENT_MS = 300_000;
const IDS = [1, 2, 3, 4, 5, 6, 7, 8];

/** What was sent and what was answered, by id: an answer to a reader must lie between. */
class Ledger {
  readonly started = new Map<number, number>();
  readonly done = new Map<number, number>();

  constructor(first: (id: number) => number) {
    for (const id of IDS) for (const sums of [this.started, this.done]) sums.set(id, first(id));
  }

  async write(id: number, amount: number, write: () => Promise<unknown>): Promise<void> {
    this.started.set(id, (this.started.get(id) ?? 0) + amount);
    await write();
    this.done.set(id, (this.done.get(id) ?? 0) + amount);
  }

  async read(id: number, read: () => Promise<number>): Promise<void> {
    const least = this.done.get(id)!;
    const value = await read();
    if (value < least || value > this.started.get(id)!)
      throw new Error(`${id} is ${value}, not from ${least} to ${this.started.get(id)}`);
  }
}

/** Repeats until it is stopped; `stop` throws what the work threw. */
function repeat(work: (n: number) => Promise<unknown>) {
  let isStopped = false;
  let rounds = 0;
  const running = (async () => {
    while (!isStopped) {
      await work(rounds);
      rounds++;
    }
  })();
  // `stop` reports it.
  running.catch(() => {});
  return {
    /** Resolves after some more rounds. */
    goesOn: async () => {
      const wanted = rounds + 10;
      await Promise.race([running, until(() => rounds > wanted, 'the service goes on')]);
    },
    stop: () => {
      isStopped = true;
      return running;
    },
  };
}

async function open<const D extends DefinitionsInput>(definitions: D, ...tables: string[]) {
  const deployment = await openDeployment(definitions);
  const { env, name, access } = deployment;
  const limits = { connections: 12, idleTransactionSeconds: 60, lockWaitSeconds: 30 };
  const database = new Database({ url: access.admin.mysqlUrl }, limits);
  cleanUp(() => database.close());
  for (const table of tables) await database.query(table);
  const sluice: Sluice = await createProducer({
    ...{ redis: env.REDIS_URL!, mysql: env.MYSQL_URL! },
    ...{ definitions: definitions as DefinitionsInput, namespace: name, settings: { partitions: 4 } },
  });
  cleanUp(() => sluice.close());
  return { deployment, database, sluice };
}

it(
  'A: keeps the column, while old and new writers add to it',
  async () => {
    const [mapped] = blocks('json');
    const { deployment, database, sluice } = await open(
      JSON.parse(mapped!),
      'CREATE TABLE pages (id INT NOT NULL PRIMARY KEY, views BIGINT NOT NULL) ENGINE = InnoDB',
    );
    await database.query(`INSERT INTO pages VALUES ${IDS.map(id => `(${id}, ${id})`).join(', ')}`);
    await deployment.worker();
    const ledger = new Ledger(id => id);
    const idOf = (n: number) => IDS[n % IDS.length]!;
    const views = sluice.counter('views');
    const old = (id: number) => database.query('UPDATE pages SET views = views + 3 WHERE id = ?', [id]);
    // Done when it is where readers look.
    const now = async (id: number) => (await views.increment(String(id), 2)).persisted();
    const column = async (id: number) =>
      Number((await database.query('SELECT views FROM pages WHERE id = ?', [id]))[0]!.views);

    const first = repeat(n => ledger.write(idOf(n), 3, () => old(idOf(n))));
    const reader = repeat(n => ledger.read(idOf(n), () => column(idOf(n))));
    const second = repeat(n => ledger.write(idOf(3 * n), 2, () => now(idOf(3 * n))));
    for (const one of [first, second, reader]) await one.goesOn();
    // The last old writer is gone.
    await first.stop();
    expect(await deployment.sluice(argumentsOf('verify --repair'))).toMatchObject({ code: 0 });
    const asking = repeat(n => ledger.read(idOf(n), () => views.get(String(idOf(n)))));
    for (const one of [second, reader, asking]) await one.goesOn();
    // The way back.
    await asking.stop();
    await second.stop();
    const again = repeat(n => ledger.write(idOf(n), 3, () => old(idOf(n))));
    for (const one of [again, reader]) await one.goesOn();
    for (const one of [again, reader]) await one.stop();
    expect(await deployment.sluice(['drain'])).toMatchObject({ code: 0 });
    for (const id of IDS) expect(await column(id), String(id)).toBe(ledger.done.get(id));
  },
  PATIENT_MS,
);

it(
  'B: leaves the column row by row and comes back, while the service goes on',
  async () => {
    const { deployment, database, sluice } = await open(
      { points: { loyalty: { floor: 0 } } },
      'CREATE TABLE users (id INT NOT NULL PRIMARY KEY, points BIGINT NULL) ENGINE = InnoDB',
    );
    const loyalty = sluice.points('loyalty');
    // Rows that nobody uses lie between, so that the copy takes some pages.
    const rows = Array.from({ length: 900 }, (_, n) => `(${n + 1}, ${n % 7 === 0 ? 'NULL' : n + 1})`);
    await database.query(`INSERT INTO users VALUES ${rows.join(', ')}`);
    const used = (n: number) => 110 * IDS[n % IDS.length]! + 1;
    const ledger = new Ledger(() => 0);
    const read = async (id: number) => {
      const [row] = await database.query('SELECT points, home FROM users WHERE id = ?', [id]);
      return Number(row!.home) >= 2 ? loyalty.balance(String(id)) : Number(row!.points ?? 0);
    };
    const tryTo = async (connection: PoolConnection, id: number, amount: number, name: string) => {
      const [{ affectedRows }] = await connection.query<ResultSetHeader>(
        'UPDATE users SET points = COALESCE(points, 0) + ? WHERE id = ? AND home = 0',
        [amount, id],
      );
      if (affectedRows === 1) return true;
      const { home } = await queryRow(connection, 'SELECT home FROM users WHERE id = ? LOCK IN SHARE MODE', [
        id,
      ]);
      if (Number(home) !== 2) return false;
      await loyalty.credit(String(id), amount, { id: name });
      return true;
    };
    const write = async (id: number, amount: number, name: string) => {
      while (!(await database.transaction(connection => tryTo(connection, id, amount, name))))
        await pause(20);
    };

    // 1. and 2.
    await database.query(statement('ADD COLUMN home'));
    await database.query(statement('CREATE TRIGGER'));
    for (let n = 0; n < IDS.length; n++)
      for (const sums of [ledger.started, ledger.done]) sums.set(used(n), await read(used(n)));
    await deployment.worker();
    const service = [0, 1, 2].flatMap(who => [
      repeat(n =>
        ledger.write(used(3 * n + who), who + 1, () => write(used(3 * n + who), who + 1, `${who}-${n}`)),
      ),
      repeat(n => ledger.read(used(n + who), () => read(used(n + who)))),
    ]);
    const goesOn = () => Promise.all(service.map(one => one.goesOn()));
    await goesOn();
    // 3., killed once on its way
    const copy = argumentsOf('users-2026 --table users --key id --value points --to loyalty --mark');
    const moved = async () =>
      Number((await database.query('SELECT COUNT(*) AS found FROM users WHERE home = 2'))[0]!.found);
    const killed = deployment.start([...copy, '--rate', '300']);
    await until(async () => (await moved()) > 0, 'the first page is in Sluice');
    killed.child.kill('SIGKILL');
    await killed.ended;
    expect(await moved()).toBeLessThan(900);
    expect(await deployment.sluice(copy)).toMatchObject({ code: 0, stderr: '' });
    expect(await moved()).toBe(900);
    await goesOn();
    // A forgotten job fails, and changes nothing.
    await expect(database.query('UPDATE users SET points = points + 1 WHERE id = 5')).rejects.toThrow(
      /in Sluice/,
    );
    // 4.
    await database.query('INSERT INTO users (id, points) VALUES (-3, 50), (2000, 60)');
    expect(await deployment.sluice(argumentsOf('users-2026-b'))).toMatchObject({ code: 0, stderr: '' });
    expect(await moved()).toBe(902);
    expect(await loyalty.balance('-3')).toBe(50);
    expect(await deployment.sluice(['verify'])).toMatchObject({ code: 0 });
    await goesOn();
    // The way back, for the rows of the page's range.
    await database.query(statement('SET home = 3'));
    expect(await deployment.sluice(['drain'])).toMatchObject({ code: 0 });
    await database.query(statement('SET u.points'));
    await goesOn();
    for (const one of service) await one.stop();
    expect(await moved()).toBe(2);
    for (let n = 0; n < IDS.length; n++) {
      const [row] = await database.query('SELECT points FROM users WHERE id = ?', [used(n)]);
      expect(Number(row!.points), String(used(n))).toBe(ledger.done.get(used(n)));
    }
    const [unused] = await database.query('SELECT points FROM users WHERE id = 500');
    expect(Number(unused!.points)).toBe(500);
  },
  PATIENT_MS,
);
