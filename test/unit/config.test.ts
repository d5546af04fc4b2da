// The environment: which variables are read, overridden or refused, and that no error shows a secret.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readConfig, variables } from '../../src/shared/config/config.ts';
import { environmentName, settingNames, settingsCatalogue } from '../../src/shared/config/settings.ts';
import { ConfigurationError } from '../../src/shared/errors.ts';
import { Database } from '../../src/shared/mysql/database.ts';
import { currentPassword } from '../../src/shared/password.ts';
import { openRedis } from '../../src/shared/redis/connections.ts';

const servers = { REDIS_URL: 'redis://u:hidden@r:1', MYSQL_URL: 'mysql://u:hidden@m:2/app' };

/** The messages of the error and of its causes, with every property that a careless log would print. */
function refusal(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    let said = '';
    for (let cause = error; cause instanceof Error; cause = cause.cause)
      said += JSON.stringify({ ...cause, message: cause.message });
    return said;
  }
  throw new Error('nothing was refused');
}

describe('defaults', () => {
  it('are those of the catalogue if the environment names only the servers', () => {
    const config = readConfig({ ...servers, PATH: '/bin', HOME: '/' });
    for (const name of settingNames) expect(config.settings[name]).toBe(settingsCatalogue[name].default);
    expect(config).toMatchObject({
      namespace: 'sluice',
      definitionsPath: './sluice.config.json',
      http: { host: '127.0.0.1', port: 9464 },
      logLevel: undefined,
      redis: { url: servers.REDIS_URL },
      mysql: { url: servers.MYSQL_URL, tls: false },
    });
  });

  it('also replace empty variables', () => {
    const names = [...variables.map(variable => variable.name), ...settingNames.map(environmentName)];
    const empty = Object.fromEntries(names.map(name => [name, '']));
    expect(readConfig({ ...empty, ...servers })).toEqual(readConfig(servers));
  });
});

describe('variables', () => {
  it('set every setting under its own name', () => {
    for (const name of settingNames) {
      const { default: preset, max } = settingsCatalogue[name];
      const value = Math.min(max, preset + 1);
      // leaseMs must be more than twice flushIntervalMs, which plus 1 still fits.
      expect(readConfig({ [environmentName(name)]: String(value) }).settings[name], name).toBe(value);
    }
    expect(environmentName('flushIntervalMs')).toBe('SLUICE_FLUSH_INTERVAL_MS');
  });

  it('override the parts of the URLs', () => {
    const config = readConfig({
      ...servers,
      REDIS_USERNAME: 'a',
      REDIS_PASSWORD: 'b@/%',
      MYSQL_USER: 'c',
      MYSQL_PASSWORD: 'd@/%',
    });
    expect(config.redis).toMatchObject({ username: 'a', password: 'b@/%' });
    expect(config.mysql).toMatchObject({ user: 'c', password: 'd@/%' });
    const redis = openRedis(config.redis, () => {});
    expect(redis.options).toMatchObject({ host: 'r', port: 1, username: 'a', password: 'b@/%' });
    redis.disconnect();
  });

  it('name files with a password, read up to the line end', () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const path = join(folder, 'secret');
    writeFileSync(path, ' hidden@/% \n');
    const config = readConfig({ ...servers, REDIS_PASSWORD_FILE: path, MYSQL_PASSWORD_FILE: path });
    const { redis, mysql } = config;
    const passwords = () => [currentPassword(redis.password!), currentPassword(mysql.password!)];
    expect(passwords()).toEqual([' hidden@/% ', ' hidden@/% ']);
    writeFileSync(path, 'rotated');
    expect(passwords()).toEqual(['rotated', 'rotated']);
    // The file is missing for a moment while somebody replaces it.
    rmSync(path);
    expect(passwords()).toEqual(['rotated', 'rotated']);
    writeFileSync(path, ' hidden@/% \n');
    for (const server of ['REDIS', 'MYSQL']) {
      const read = (environment: Record<string, string>) => {
        const wrong = readConfig({ ...servers, ...environment });
        return server === 'REDIS' ? wrong.redis : wrong.mysql;
      };
      const name = `${server}_PASSWORD_FILE`;
      const both = refusal(() => read({ [name]: path, [`${server}_PASSWORD`]: 'hidden' }));
      expect(both).toContain(`${name} are both set`);
      expect(both).not.toContain('hidden');
      expect(refusal(() => read({ [name]: '/nowhere' }))).toContain(
        `${name} names a file that cannot be read`,
      );
      expect(refusal(() => read({ [name]: folder }))).toContain(`${name} names a file that cannot be read`);
    }
  });

  it('of the set-up scripts are ignored', () => {
    expect(() => readConfig({ SLUICE_CACHE: '/c', SLUICE_SETUP_NO_SERVERS: '1' })).not.toThrow();
  });

  it.each([
    [{ SLUICE_CONFG: 'x' }, /SLUICE_CONFG is not a variable of Sluice; did you mean SLUICE_CONFIG\?/],
    [{ SLUICE_SOMETHING_ELSE_ENTIRELY: 'x' }, /docs\/configuration\.md/],
    [{ SLUICE_PARTITIONS: '1e1' }, /SLUICE_PARTITIONS must be a whole number/],
    [{ SLUICE_PARTITIONS: '-1' }, /SLUICE_PARTITIONS must be a whole number/],
    [{ SLUICE_PARTITIONS: '0' }, /SLUICE_PARTITIONS\) must be a whole number from 1 to 1024, not 0/],
    [{ SLUICE_FLUSH_INTERVAL_MS: '1000' }, /leaseMs must be more than twice flushIntervalMs/],
    [{ SLUICE_HTTP_PORT: '65536' }, /SLUICE_HTTP_PORT/],
    [{ SLUICE_LOG_LEVEL: 'INFO' }, /SLUICE_LOG_LEVEL must be one of fatal, error, warn, info/],
    [{ SLUICE_NAMESPACE: '{x}' }, /SLUICE_NAMESPACE/],
  ])('%j is refused', (environment, message) => {
    expect(refusal(() => readConfig(environment))).toMatch(message);
  });

  it.each([
    [{ MYSQL_TLS: 'yes' }, /MYSQL_TLS must be 1, 0 or rds/],
    [{ MYSQL_CA: '/nowhere/ca.pem' }, /MYSQL_CA names a file that cannot be read/],
    [{ MYSQL_URL: '' }, /MYSQL_URL is not set; it must be/],
  ])('%j is refused if MySQL is needed', (environment, message) => {
    expect(refusal(() => readConfig({ ...servers, ...environment }).mysql)).toMatch(message);
  });

  it('of a server that is not needed may be missing', () => {
    expect(readConfig({ MYSQL_URL: servers.MYSQL_URL }).mysql.url).toBe(servers.MYSQL_URL);
    expect(refusal(() => readConfig({ MYSQL_URL: servers.MYSQL_URL }).redis)).toMatch(/REDIS_URL is not set/);
  });
});

describe('no error shows a part of a password', () => {
  it.each([
    'redis://u:hidden/word@h',
    'redis://u:hid@hidden@h',
    'redis://u:hidden%@h',
    'redis://u:hidden:1@h:x',
    'http://u:hidden@h',
    'redis://u:hidden@h/notanumber',
    'redis+sentinel://u:hidden@h',
  ])('of %s', url => {
    expect(refusal(() => openRedis({ url }, () => {}))).not.toContain('hid');
  });

  it.each([
    'mysql://u:hidden/word@h/app',
    'mysql://u:12/hidden@h/app',
    'mysql://u:hidden%@h/app',
    'mysql://u:hidden?x@h/app',
    'mysql://u:hidden#x@h/app',
    'mysql://u:hidden@h',
    'mysql://u:hidden@h/app?ssl=hidden',
    'http://u:hidden@h/app',
    'hidden',
  ])('of %s', url => {
    const limits = { connections: 1, idleTransactionSeconds: 5, lockWaitSeconds: 5 };
    expect(refusal(() => new Database({ url }, limits))).not.toContain('hid');
  });
});
