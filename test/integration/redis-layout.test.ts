// Commands that a server sees: keys, types, fields and writers are those of src/shared/redis/layout.ts.

import { createHash } from 'node:crypto';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { type Board, boardName, RankReader } from '../../src/shared/ranks/reader.ts';
import { partitionKeys, stateFields } from '../../src/shared/redis/layout.ts';
import { readScript } from '../../src/shared/redis/read-script.ts';
import { defineScript } from '../../src/shared/redis/script.ts';
import { valueAtRisk } from '../../src/shared/redis/value-at-risk.ts';
import { Rotation } from '../../src/worker/rotation.ts';
import { backUpMysql, backUpRedis, recoveryOf } from '../support/backup.ts';
import { cleanUp } from '../support/cleanup.ts';
import { type Engine, openEngine, until } from '../support/engine.ts';
import { setLive } from '../support/live.ts';
import { builderOf, loyalty as ofAccounts, views as ofCounters, ranked, ready } from '../support/ranks.ts';
import { quietRedis, temporaryFolder } from '../support/servers.ts';

interface Touch {
  /** The script, or '' for a command outside scripts. */
  readonly by: string;
  readonly command: string;
  /** Name of the key in the layout. */
  readonly key: string;
  /** Arguments after the key. */
  readonly rest: readonly string[];
}

const source = join(import.meta.dirname, '../../src');

/** Script names by the first argument of EVALSHA, the hash, or of EVAL, the text. */
const scripts = new Map(
  readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.lua') && !file.includes('/lua/'))
    .flatMap(file => {
      const lua = readScript(pathToFileURL(join(source, file)));
      const name = /([^/]+)\.lua$/.exec(file)![1]!;
      return [lua, createHash('sha1').update(lua).digest('hex')].map(text => [text, name] as const);
    }),
);

/** The names of the layout as patterns. */
const patterns = Object.keys(partitionKeys).map(key => ({
  key,
  pattern: new RegExp(`^${key.replace('<epoch>', '[^:]+').replace(/<\w+>$/, '.+')}$`, 's'),
}));
const nameOf = (key: string) => patterns.find(({ pattern }) => pattern.test(key))?.key ?? key;

/** MONITOR escapes line ends and backslashes. */
const unescaped = (text: string) => text.replaceAll(/\\(.)/g, (_, next) => (next === 'n' ? '\n' : next));

/** Records commands on the keys of partitions; the function stops it and returns them. */
async function watch({ redis, name }: Engine): Promise<() => Promise<Touch[]>> {
  const touches: Touch[] = [];
  const monitor = await redis.duplicate().monitor();
  cleanUp(() => monitor.disconnect());
  let by = '';
  let isOver = false;
  monitor.on('monitor', (_time: string, [command, ...args]: [string, ...string[]], from: string) => {
    if (/^eval/i.test(command)) by = scripts.get(unescaped(args[0]!)) ?? '';
    else
      for (const [at, arg] of args.entries()) {
        const key = new RegExp(`^\\{${name}:\\d+\\}:(.*)$`, 's').exec(arg)?.[1];
        if (key !== undefined)
          touches.push({
            by: from === 'lua' ? by : '',
            command: command.toUpperCase(),
            key: nameOf(key),
            rest: args.slice(at + 1),
          });
      }
    isOver ||= args[0] === `over ${name}`;
  });
  return async () => {
    await redis.echo(`over ${name}`);
    await until(() => isOver, 'the end of the recorded commands');
    return touches;
  };
}

/** Makes every script do everything that it can do to a key. */
async function useEverything(engine: Engine): Promise<void> {
  const { flight, redis } = engine;
  const sluice = await engine.producer({}, { definitions: ranked });
  const views = sluice.counter('views');
  await useBoard(engine, ofCounters, () => views.increment('board'));
  const loyalty = sluice.points('loyalty');
  for (const key of ['a', 'b', 'c']) await views.increment(key, 1, { id: key });
  await loyalty.credit('x', 5, { id: '1' });
  await loyalty.debit('x', 2, { id: '2' });
  await valueAtRisk(engine.own.redis, engine.keys)();
  await loyalty.history('x');
  await loyalty.balance('x');
  await views.get('a');
  await views.increment('a');
  const batch = (await flight.claim(0))!;
  await engine.store.commit(batch);
  await flight.ack(batch, { quarantined: 0, late: ['loyalty:x'], reload: ['cviews:a'] });
  await engine.drain();
  await loyalty.credit('y', Number.MAX_SAFE_INTEGER, { id: '1' });
  await loyalty.balance('z');
  for (const to of ['y', 'z']) await loyalty.transfer('x', to, 1, { id: to });
  await engine.drain();
  await engine.driver().once();
  await engine.drain();
  await loyalty.credit('x', 9, { id: '4' });
  await loyalty.hold('x', 1, { id: 'h', expiresInMs: 1 });
  await loyalty.hold('x', 2, { id: 'i' });
  await loyalty.post('x', 'i', 1);
  await engine.drain();
  await until(async () => {
    await engine.expiry().once();
    return (await loyalty.account('x')).held === 0;
  }, 'the end of the hold');
  let moved = 0;
  await useBoard(engine, ofAccounts, async () => {
    await loyalty.transfer('x', 'w', 1, { id: `move ${++moved}` });
    await engine.drain();
    await engine.driver().once();
  });
  await engine.drain();
  const live = [
    { kind: 'c', name: 'views', key: 'a' },
    { kind: 'c', name: 'views', key: 'b' },
  ] as const;
  await setLive(engine, 'c', 'views:a', 'wrong');
  await engine.cold.repair(0, live);
  const rotation = new Rotation(engine.own.redis, engine.keys, 0);
  expect([await rotation.rotate(0), await rotation.rotate(0)]).toEqual([false, true]);
  await views.get('a');
  await rotation.rotate(0);
  await views.increment('a');
  await until(async () => {
    await flight.trim(0);
    return (await redis.exists(engine.keys.of(0, 'ids'), engine.keys.of(0, 'counterIds'))) === 0;
  }, 'the ids to expire');

  const restoreMysql = await backUpMysql(engine);
  await loyalty.credit('x', 1, { id: '3' });
  await engine.drain();
  await restoreMysql();
  await recoveryOf(engine).recover(0, { operator: 'test' });
  await engine.drain();
  await views.increment('k');
  const restoreRedis = await backUpRedis(engine);
  await engine.drain();
  await restoreRedis();
  await recoveryOf(engine).recover(0, { operator: 'test', counters: 'discard' });
  await views.increment('k');
  const last = (await flight.claim(0))!;
  await flight.rewind(last, last.sequence + 1, 'another');
}

/** Updates of one key while its board waits, walks and is ready; a wrong score. */
async function useBoard(engine: Engine, board: Board, increment: () => Promise<unknown>): Promise<void> {
  const builder = builderOf(engine, 1);
  await increment();
  await builder.begin(board);
  await increment();
  await engine.drain();
  await until(async () => {
    await builder.step(board);
    return (await builder.look(board))[0]!.members > 0;
  }, 'the walk');
  await increment();
  await ready(engine, board, builder);
  await increment();
  await engine.redis.zadd(engine.keys.ofBoard(0, 'ranks:<board>', boardName(board)), 5, 'wrong');
  await engine.cold.repair(0, [{ ...board, key: 'wrong' }]);
  await new RankReader(engine.own.redis, engine.keys, call => call()).size(board);
}

const READ =
  /^(ZSCORE|ZCARD|ZCOUNT|SCARD|SISMEMBER|HM?GET|HGETALL|HLEN|HRANDFIELD|HSCAN|LINDEX|LLEN|LRANGE|M?GET|GETRANGE|EXISTS)$/;
const ANY_TYPE = /^(EXISTS|RENAME|UNLINK|DEL)$/;
const TYPES = { hash: /^H/, list: /^[LR]/, string: /^(M?GET|SET)/, zset: /^Z/, set: /^S/ };

it('scripts touch exactly the keys and fields of the layout', async () => {
  // With this limit, each id of a counter is a slice.
  const ids = { idempotencyWindowMs: 1000, idempotencyLimit: 100 };
  const settings = { partitions: 1, batchKeys: 2, batchEntries: 2, ...ids };
  const engine = await openEngine(settings, { redisUrl: await quietRedis() });
  const touchesSoFar = await watch(engine);
  await useEverything(engine);
  const touches = (await touchesSoFar()).filter(({ by }) => by !== '');
  for (const { by, command, key } of touches) {
    const layout = partitionKeys[key as keyof typeof partitionKeys] as
      | { type: keyof typeof TYPES }
      | undefined;
    expect(layout, `${by}: ${command} ${key}`).toBeDefined();
    if (!ANY_TYPE.test(command)) expect(command, `${by} ${key}`).toMatch(TYPES[layout!.type]);
  }
  const isScript = (writer: string) => !writer.endsWith('.ts');
  const written = (key: string) =>
    touches.filter(touch => touch.key === key && !READ.test(touch.command)).map(({ by }) => by);
  const writers = Object.fromEntries(
    Object.keys(partitionKeys).map(key => [key, [...new Set(written(key))].sort()]),
  );
  const expected = Object.entries(partitionKeys).map(([key, layout]) => [
    key,
    layout.writers.filter(isScript).sort(),
  ]);
  expect(writers).toEqual(Object.fromEntries(expected));

  const fields = touches.filter(({ key }) => key === 'state').flatMap(fieldsOf);
  const ofScripts = Object.entries(stateFields).filter(([, { writers }]) => writers.some(isScript));
  expect([...new Set(fields)].sort()).toEqual(ofScripts.map(([field]) => field).sort());
});

it('an error of a script names the line of its file', async () => {
  const file = join(await temporaryFolder(), 'wrong.lua');
  const lines = [
    '#!lua',
    '--!include base',
    '  --!include oldest',
    '--!read state',
    'return state.token + 1',
  ];
  writeFileSync(file, lines.join('\n'));
  const { own, keys } = await openEngine();
  const wrong = defineScript(own.redis, 'wrong', pathToFileURL(file));
  await expect(wrong(keys.state(0))).rejects.toThrow(
    /user_script:5: attempt to perform arithmetic on field 'token'/,
  );
  await expect(wrong(keys.state(0))).rejects.toThrow(/user_script:5:/);
});

function fieldsOf({ command, rest }: Touch): readonly string[] {
  if (command === 'HINCRBY') return rest.slice(0, 1);
  return command === 'HSET' ? rest.filter((_, at) => at % 2 === 0) : rest;
}
