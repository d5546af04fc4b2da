// 20,000 random definitions, settings and environments: each is accepted or refused with one of our errors,
// no prototype changes, and no error shows a secret. A failure names its seed; TEST_SEED=N runs it again.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readConfig, variables } from '../../src/shared/config/config.ts';
import { parseDefinitions } from '../../src/shared/config/definitions.ts';
import { environmentName, parseSettings, settingNames } from '../../src/shared/config/settings.ts';
import { ConfigurationError } from '../../src/shared/errors.ts';
import { Database, quoteIdentifier } from '../../src/shared/mysql/database.ts';
import { openRedis } from '../../src/shared/redis/connections.ts';
import { names, seed, strangeJson, watchPrototypes } from '../support/strange.ts';

watchPrototypes();

const SECRET = 'hunter2-Geheim';

/** Runs it; anything thrown must be a ConfigurationError that does not show the secret. */
function refusedOrTaken<Taken>(read: () => Taken): Taken | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause)
      expect(JSON.stringify({ ...cause, message: cause.message, stack: cause.stack })).not.toContain(SECRET);
    return undefined;
  }
}

it('each of 8,000 definitions is accepted or refused', { timeout: 400_000 }, () => {
  const words = [
    ...['counters', 'points', '$schema', 'target', 'table', 'key', 'column', 'missing', 'floor', 'views'],
    ...['__proto__', 'constructor', 'prototype', 'toString', 'cuonters', ''],
  ];
  const { node } = fc.letrec<{ node: string }>(tie => ({
    node: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      strangeJson,
      fc
        .array(fc.tuple(fc.constantFrom(...words), tie('node')), { maxLength: 4 })
        .map(fields => `{${fields.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`),
    ),
  }));
  let taken = 0;
  const property = fc.property(node, text => {
    const input = JSON.parse(text);
    const parsed = refusedOrTaken(() => parseDefinitions(input));
    if (!parsed) return;
    taken++;
    const { counters, points } = parsed;
    for (const name of [...Object.keys(counters), ...Object.keys(points)])
      expect(name).toMatch(/^[A-Za-z][A-Za-z0-9_.-]*$/);
  });
  fc.assert(property, { seed, numRuns: 8_000 });
  expect(taken).toBeGreaterThan(100);
});

it('each of 5,000 settings is accepted or refused', () => {
  const value = fc.oneof(
    fc.integer({ min: -1, max: 70_000 }),
    strangeJson.map(text => JSON.parse(text)),
    fc.anything(),
  );
  const name = fc.constantFrom(...settingNames, ...names, 'flushIntervalM');
  const property = fc.property(fc.dictionary(name, value, { maxKeys: 3 }), input => {
    const settings = refusedOrTaken(() => parseSettings(input));
    expect(Object.values(settings ?? {}).every(Number.isSafeInteger)).toBe(true);
  });
  fc.assert(property, { seed, numRuns: 5_000 });
});

it('each of 5,000 environments is accepted or refused, and no error shows a secret', {
  timeout: 400_000,
}, () => {
  const noise = fc.oneof(
    fc.constantFrom('@', ':', '/', '//', '?', '#', '%', '%4', ',', '[', ']', ' ', '\0', ''),
    fc.string({ maxLength: 3 }),
  );
  const scheme = fc.constantFrom(
    'redis://',
    'rediss://',
    'redis+cluster://',
    'redis+sentinel://',
    'mysql://',
    '',
    'http://',
    'redis:/',
  );
  const rest = fc.constantFrom('@h', '@h:1', '@h:1/app', '@h:1,i:2/app', '@[::1]:5/app', '@', '');
  const url = fc
    .tuple(scheme, noise, noise, rest, noise)
    .map(([start, before, after, end, tail]) => `${start}u:${before}${SECRET}${after}${end}${tail}`);
  const value = fc.oneof(url, noise, fc.constantFrom(SECRET, '1', '0', '70000', '/dev/null', `/${SECRET}`));
  const variable = fc.constantFrom(
    ...variables.map(({ name }) => name).filter(name => !/_(CA|FILE)$/.test(name)),
    ...settingNames.map(environmentName),
    'SLUICE_PARTITION',
    '__proto__',
  );
  const fixed = { REDIS_URL: 'redis://h', MYSQL_URL: 'mysql://u@h/app' };
  const environment = fc
    .tuple(fc.dictionary(variable, value, { maxKeys: 2 }), fc.option(url), fc.option(url))
    .map(([given, redis, mysql]) => ({
      ...fixed,
      ...given,
      ...(redis === null ? {} : { REDIS_URL: redis }),
      ...(mysql === null ? {} : { MYSQL_URL: mysql }),
    }));
  const limits = { connections: 1, idleTransactionSeconds: 5, lockWaitSeconds: 5 };
  let taken = 0;
  const property = fc.property(environment, given => {
    refusedOrTaken(() => {
      const { redis, mysql } = readConfig(given);
      openRedis(redis, () => {}).disconnect();
      const database = new Database(mysql, limits);
      expect(database.address).not.toContain(SECRET);
      taken++;
    });
  });
  fc.assert(property, { seed, numRuns: 5000 });
  expect(taken).toBeGreaterThan(50);
});

it('a quoted name holds no SQL', () => {
  const name = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.string({ unit: fc.constantFrom('`', "'", '"', '\\', ';', '--', '/*', 'a') }),
  );
  const property = fc.property(name, given => {
    const quoted = quoteIdentifier(given);
    // The identifier is everything between one pair of quotes, with inner quotes doubled.
    expect(quoted).toMatch(/^`(?:[^`]|``)*`$/);
    expect(quoted.slice(1, -1).replaceAll('``', '`')).toBe(given);
  });
  fc.assert(property, { seed, numRuns: 5_000 });
});
