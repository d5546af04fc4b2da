// Error replies of a server, and the error that a process makes of each; and which URLs are read how.

import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { connectRedis, openRedis } from '../../src/shared/redis/connections.ts';
import { redisError } from '../../src/shared/redis/errors.ts';
import { parseRedisUrl } from '../../src/shared/redis/url.ts';
import { cleanUp } from '../support/cleanup.ts';

/** Answers commands with +OK, INFO as a primary would, and what `answers` has for a command or connection. */
async function openServer(answers: Record<string, string>): Promise<string> {
  const info = 'role:master\r\nloading:0\r\n';
  const server = createServer(socket => {
    socket.on('error', () => {});
    if (answers.connection) socket.end(`-${answers.connection}\r\n`);
    socket.on('data', data => {
      for (const [, command] of data.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g)) {
        const name = command!.toLowerCase();
        if (answers[name]) socket.write(`-${answers[name]}\r\n`);
        else socket.write(name === 'info' ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n');
      }
    });
  }).listen(0, '127.0.0.1');
  cleanUp(() => server.close());
  await new Promise(resolve => server.once('listening', resolve));
  return `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('a server that refuses at the start', () => {
  it.each([
    [
      { connection: 'DENIED Redis is running in protected mode because' },
      'ACCESS_DENIED',
      /DENIED.*protected mode/,
    ],
    [{ connection: 'ERR max number of clients reached' }, 'REDIS_UNAVAILABLE', /maxclients/],
    [{ hello: 'NOAUTH HELLO must be called with' }, 'ACCESS_DENIED', /NOAUTH to HELLO/],
    [{ hello: 'WRONGPASS invalid username-password pair' }, 'ACCESS_DENIED', /WRONGPASS to HELLO/],
    [{ info: "ERR unknown command 'INFO'" }, 'REDIS_UNSUITABLE', /ERR to INFO.*rename-command/],
    [{ info: 'LOADING Redis is loading the dataset in memory' }, 'REDIS_UNAVAILABLE', /LOADING/],
    [{ info: 'MASTERDOWN Link with MASTER is down' }, 'REDIS_UNAVAILABLE', /MASTERDOWN.*lost its primary/],
    [{ select: 'ERR DB index is out of range' }, 'REDIS_UNSUITABLE', /database number 4/],
    [{ select: "ERR unknown command 'select'" }, 'REDIS_UNSUITABLE', /database number 4/],
    [{ select: 'ERR SELECT is not allowed in cluster mode' }, 'REDIS_UNSUITABLE', /database number 4/],
    [{ select: 'NOPERM this user has no permissions' }, 'REDIS_UNSUITABLE', /database number 4/],
  ])('with %j gives %s', async (answers, code, message) => {
    const redis = openRedis({ url: `${await openServer(answers)}/4` }, () => {});
    cleanUp(() => redis.disconnect());
    await expect(connectRedis(redis, 'here', 2000)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
      retryable: code === 'REDIS_UNAVAILABLE',
    });
  });
});

it.each(['READONLY', 'NOREPLICAS', 'MISCONF', 'MASTERDOWN', 'LOADING', 'CLUSTERDOWN', 'TRYAGAIN', 'BUSY'])(
  'a reply %s is named without the rest of its text, and is retryable',
  code => {
    const reply = Object.assign(new Error(`${code} about {user}:secret`), {
      name: 'ReplyError',
      command: { name: 'evalsha', args: ['secret'] },
    });
    const error = redisError(reply, 'here');
    expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE', retryable: true });
    expect(error.message).toMatch(
      new RegExp(`^Redis at here cannot be used now \\(${code} to EVALSHA: it |the Cluster |somebody `),
    );
    expect(error.message).not.toContain('secret');
  },
);

describe('a URL', () => {
  it.each([
    ['redis://h', { hosts: [{ host: 'h', port: 6379 }], options: {} }],
    ['redis://h:1/', { hosts: [{ host: 'h', port: 1 }], options: {} }],
    ['rediss://h/0', { secure: true, options: {} }],
    ['redis://h:65535/15', { hosts: [{ host: 'h', port: 65_535 }], options: { db: 15 } }],
    ['redis://:p%40%2F%3A%3Fw@h/1', { options: { password: 'p@/:?w', db: 1 } }],
    ['redis://u%25:p:w@h', { options: { username: 'u%', password: 'p:w' } }],
    ['redis://[::1]:7/2', { hosts: [{ host: '::1', port: 7 }], options: { db: 2 } }],
    [
      'redis+cluster://a,b:7/0',
      {
        scheme: 'cluster',
        hosts: [
          { host: 'a', port: 6379 },
          { host: 'b', port: 7 },
        ],
      },
    ],
    [
      'redis+cluster://[::1]:7,[::2]:7',
      {
        hosts: [
          { host: '::1', port: 7 },
          { host: '::2', port: 7 },
        ],
      },
    ],
    [
      'redis+sentinel://a,b/my.primary_1-x',
      {
        hosts: [
          { host: 'a', port: 26_379 },
          { host: 'b', port: 26_379 },
        ],
        name: 'my.primary_1-x',
        options: {},
      },
    ],
    ['redis+sentinel://u:p@a/primary/0', { name: 'primary', options: { username: 'u', password: 'p' } }],
    ['rediss+sentinel://a/primary/2', { secure: true, name: 'primary', options: { db: 2 } }],
  ])('%s is read', (url, parts) => {
    expect(parseRedisUrl({ url })).toMatchObject(parts);
    if ('options' in parts) expect(parseRedisUrl({ url }).options).toEqual(parts.options);
  });

  it.each([
    ...['-1', '1.5', '+1', '0x1', '1e1', 'one', ' 1', '2147483648', '99999999999999999999', '1/2', '1/'].map(
      number => [`redis://h/${number}`, /database number that is not a whole number/] as const,
    ),
    ...['0', '65536', '99999', '-1', '', '123456789012'].map(
      port => [`redis://h:${port}`, /port that is not|host that cannot/] as const,
    ),
    ['redis+sentinel://h', /name that the Sentinels have/],
    ['redis+sentinel://h/', /name that the Sentinels have/],
    ['redis+sentinel://h/a b', /name that the Sentinels have/],
    ['redis+sentinel://h/primary/one', /database number that is not/],
    ['redis+sentinel://h/primary/-1', /database number that is not/],
    ['redis+sentinel://h/primary/1/2', /name that the Sentinels have/],
    ['redis+cluster://h/1', /a Cluster has only database 0/],
    ['redis://h?db=1', /takes no options/],
    ['redis://h/1?ssl=true', /takes no options/],
    ['redis+sentinel://h/primary?db=1', /takes no options/],
    ['redis://h/#1', /takes no options/],
    ['redis://::1:6379', /IPv6 address in brackets/],
    ['redis://[::1', /host that cannot be read/],
    ['redis://[h]:1', /host that cannot be read/],
    ['redis://', /host that cannot be read/],
    ['redis:///1', /host that cannot be read/],
    ['redis://h,', /host that cannot be read|several/],
    ['redis+unix:///run/redis.sock', /Unix socket/],
    ['unix:///run/redis.sock', /Unix socket/],
    ['/run/redis.sock', /Unix socket/],
    ['redis+tls://h', /REDIS_URL must be/],
    ['http://h', /REDIS_URL must be/],
  ] as const)('%s is refused', (url, message) => {
    expect(() => parseRedisUrl({ url })).toThrow(
      expect.objectContaining({ code: 'INVALID_CONFIGURATION', message: expect.stringMatching(message) }),
    );
  });
});
