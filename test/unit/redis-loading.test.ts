// A Redis that is loading its data and overestimates how long that takes.

import { type AddressInfo, createServer } from 'node:net';
import { expect, it } from 'vitest';
import { openRedis } from '../../src/shared/redis/connections.ts';
import { cleanUp } from '../support/cleanup.ts';

const bulk = (text: string) => `$${text.length}\r\n${text}\r\n`;

it('a loading Redis is asked again soon, whatever it estimates', async () => {
  const asked: number[] = [];
  const server = createServer(socket => {
    socket.on('error', () => {});
    socket.on('data', data => {
      for (const [, command] of data.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)\r\n/g)) {
        if (command!.toLowerCase() !== 'info') socket.write('+OK\r\n');
        else {
          asked.push(performance.now());
          socket.write(bulk(asked.length < 3 ? 'loading:1\r\nloading_eta_seconds:9\r\n' : 'loading:0\r\n'));
        }
      }
    });
  }).listen(0, '127.0.0.1');
  cleanUp(() => server.close());
  await new Promise(resolve => server.once('listening', resolve));
  const redis = openRedis({ url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}` }, () => {});
  cleanUp(() => redis.disconnect());
  await redis.connect();
  expect(redis.status).toBe('ready');
  // Redis estimated 9 s each time; the client did not wait for that.
  expect(asked[2]! - asked[0]!).toBeLessThan(9000);
});
