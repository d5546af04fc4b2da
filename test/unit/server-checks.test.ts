// Which servers a process refuses at its start, by version and settings.

import { describe, expect, it } from 'vitest';
import { checkVersion } from '../../src/shared/mysql/schema.ts';
import { checkServer } from '../../src/shared/redis/check.ts';

const info = (version: string, policy: string) =>
  `# Server\r\nredis_version:${version}\r\nmaxmemory_policy:${policy}\r\n`;

describe('Redis', () => {
  it.each([
    ['7.0.15', 'noeviction'],
    ['8.0.6', 'noeviction'],
    ['10.0.0', 'noeviction'],
  ])('takes %s with %s', (version, policy) => {
    expect(() => checkServer(info(version, policy), 'here', false)).not.toThrow();
  });
  it.each([
    ['6.2.14', 'noeviction'],
    ['7.2.4', 'volatile-ttl'],
    ['8.0.0', 'allkeys-lru'],
  ])('refuses %s with %s', (version, policy) => {
    expect(() => checkServer(info(version, policy), 'here', false)).toThrow(
      expect.objectContaining({ code: 'REDIS_UNSUITABLE' }),
    );
  });
});

describe('Redis in a Cluster', () => {
  const node = `${info('8.0.6', 'noeviction')}cluster_enabled:1\r\n`;
  it('is accepted if the URL is that of a cluster', () => {
    expect(() => checkServer(node, 'here', true)).not.toThrow();
  });
  it('is refused if the URL is that of a single server, since scripts do not declare their keys there', () => {
    expect(() => checkServer(node, 'here:1', false)).toThrow(/use redis\+cluster:\/\/here:1/);
  });
});

it('a 32-bit Redis is refused, since its scripts would truncate sums', () => {
  const small = `${info('8.0.6', 'noeviction')}arch_bits:32\r\n`;
  expect(() => checkServer(small, 'here', false)).toThrow(
    expect.objectContaining({ code: 'REDIS_UNSUITABLE' }),
  );
});

describe('the database', () => {
  it.each([
    '8.0.19',
    '8.0.40-0ubuntu',
    '8.4.0',
    '9.7.4-2',
    '10.6.0-MariaDB',
    '10.11.18-MariaDB-0+deb12u1',
    '11.8.1-MariaDB',
  ])('takes %s', version => {
    expect(() => checkVersion(version, 'here')).not.toThrow();
  });
  it.each(['5.7.44', '8.0.18', '10.5.29-MariaDB', '5.5.5-10.4.1-MariaDB'])('refuses %s', version => {
    expect(() => checkVersion(version, 'here')).toThrow(
      expect.objectContaining({ code: 'DATABASE_UNSUITABLE' }),
    );
  });
});
