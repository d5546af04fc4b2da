// Logs hold nothing that users sent: no key, account, id, reason, metadata or credential is in the logs of
// producers and workers at info level, whatever fails.

import { expect, it } from 'vitest';
import { createProducer } from '../../src/producer/producer.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { parseSettings } from '../../src/shared/config/settings.ts';
import { createLog } from '../../src/shared/log.ts';
import { Worker } from '../../src/worker/worker.ts';
import { cleanUp } from '../support/cleanup.ts';
import { definitions, openEngine, until } from '../support/engine.ts';
import { setLive } from '../support/live.ts';
import { openProxy } from '../support/proxy.ts';

/** Part of everything that must not be logged. */
const SECRET = 'sEcReT';
const KEY = `/${SECRET}?q`;
const ACCOUNT = `account-${SECRET}`;
const WORDS = { reason: `reason ${SECRET}`, metadata: { [`${SECRET}-name`]: `${SECRET} value` } };

it('logs hold nothing that users sent, whatever fails', async () => {
  const engine = await openEngine({ partitions: 1 });
  const { name, redis, database } = engine;
  // On hostile servers Sluice's own user has the name of the engine.
  const user = `${name}_s`;
  await redis.call('ACL', 'SETUSER', user, 'on', `>${SECRET}`, '~*', '&*', '+@all');
  await database.query(`CREATE USER ${user}@'%' IDENTIFIED BY '${SECRET}'`);
  await database.query(`GRANT ALL ON ${name}.* TO ${user}@'%'`);
  cleanUp(async () => {
    await redis.call('ACL', 'DELUSER', user);
    await database.query(`DROP USER ${user}@'%'`);
  });
  const proxies = { redis: await openProxy(engine.redisUrl), mysql: await openProxy(engine.mysqlUrl) };
  const withUser = (url: string) => url.replace(/\/\/(?:[^@]*@)?/, `//${user}:${SECRET}@`);

  const lines: string[] = [];
  const log = createLog('info', { write: (line: string) => lines.push(line) });
  /** Resolves at the next log line with this text. */
  const logged = (text: string, from = lines.length) =>
    until(() => lines.slice(from).some(line => line.includes(text)), `a log line with "${text}"`);
  const parts = {
    redis: { url: withUser(proxies.redis.url) },
    mysql: { url: withUser(proxies.mysql.url) },
    namespace: name,
    settings: parseSettings({
      partitions: 1,
      flushIntervalMs: 5,
      sweepIntervalMs: 50,
      stuckAfterMs: 100,
      backoffBaseMs: 10,
      breakerFailures: 1,
      breakerBaseMs: 50,
      breakerCapMs: 100,
      verifyIntervalMs: 20,
    }),
    log,
  };
  const openWorker = () => Worker.start({ ...parts, definitions: parseDefinitions(definitions) });
  let worker = await openWorker();
  const sluice = await createProducer({ ...parts, redis: parts.redis, mysql: parts.mysql, definitions });
  cleanUp(async () => {
    await sluice.close();
    await worker.stop();
  });
  const views = sluice.counter('views');
  const loyalty = sluice.points('loyalty');
  const credit = (id: string) => loyalty.credit(ACCOUNT, 5, { id: `${id}-${SECRET}`, ...WORDS });
  const settled = async () => {
    await (await views.increment(KEY)).persisted();
    await (await credit(`settled ${lines.length} ${Math.random()}`)).persisted();
  };
  await settled();

  // The database refuses an entry with a message that quotes it.
  await database.query(
    `CREATE TRIGGER refuse BEFORE INSERT ON sluice_entries FOR EACH ROW BEGIN IF NEW.entry_id LIKE 'refused%' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '${SECRET}'; END IF; END`,
  );
  await Promise.all([logged('they are in quarantine'), credit('refused')]);

  // An id comes again after Redis has forgotten it.
  await (await credit('late')).persisted();
  await redis.del(`{${name}:0}:ids`);
  await Promise.all([logged('in the ledger already'), credit('late')]);
  await settled();

  // Redis loses its latest writes.
  await redis.hincrby(engine.keys.state(0), 'sequence', -1);
  await Promise.all([logged('went back in time'), views.increment(KEY)]);
  await settled();

  // A statement fails, though neither the server nor the data is at fault.
  await database.query('RENAME TABLE sluice_counters TO gone');
  await Promise.all([logged('will be retried'), logged('sweep could not flush'), views.increment(KEY)]);
  await database.query('RENAME TABLE gone TO sluice_counters');
  await settled();

  // Another client overwrites a live value, and corrects it.
  await Promise.all([logged('live values drift'), setLive(engine, 'p', `loyalty:${ACCOUNT}`, 7)]);
  await engine.cold.repair(0, [{ kind: 'p', name: 'loyalty', key: ACCOUNT }]);

  // Both servers go away, MySQL first.
  const away = logged('the database is away');
  proxies.mysql.refuse();
  await views.increment(KEY);
  await away;
  const back = logged('the database is back');
  proxies.mysql.open();
  await back;
  const lost = logged('Redis connection failed');
  proxies.redis.refuse();
  await expect(credit('unknown')).rejects.toMatchObject({ retryable: true });
  await lost;
  proxies.redis.open();
  await until(
    () =>
      settled().then(
        () => true,
        () => false,
      ),
    'Redis to be back',
  );

  // A record in Redis is broken.
  await worker.stop();
  await credit('broken');
  const [[number, record]] = Object.entries(await redis.hgetall(`{${name}:0}:entries`)) as [[string, string]];
  await redis.hset(`{${name}:0}:entries`, number, record.replace('["', `[${SECRET}"`));
  const broken = logged('sweep could not flush');
  worker = await openWorker();
  await broken;
  await redis.hset(`{${name}:0}:entries`, number, record);
  await settled();

  // The database is older than Redis.
  await database.query("UPDATE sluice_partitions SET sequence = 1, token = ''");
  await Promise.all([logged('DATABASE_WENT_BACK'), views.increment(KEY)]);

  // The servers do not know these credentials.
  const wrong = { url: parts.redis.url.replace(SECRET, `wrong-${SECRET}`) };
  const denied = await Promise.all([
    Worker.start({ ...parts, redis: wrong, definitions: parseDefinitions(definitions) }).catch(
      error => error,
    ),
    createProducer({ ...parts, redis: wrong, mysql: parts.mysql, definitions }).catch(error => error),
    Worker.start({
      ...parts,
      mysql: { url: parts.mysql.url.replace(SECRET, `wrong-${SECRET}`) },
      definitions: parseDefinitions(definitions),
    }).catch(error => error),
  ]);
  for (const error of denied) {
    expect(error).toMatchObject({ code: 'ACCESS_DENIED' });
    log.error({ err: error }, 'refused');
  }

  const telling = lines.filter(line => line.toLowerCase().includes(SECRET.toLowerCase()));
  expect(telling).toEqual([]);
});
