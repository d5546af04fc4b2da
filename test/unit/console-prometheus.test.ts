// The console's charts from a Prometheus server: what it asks, what it makes of the answers, and what it does without them.

import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it } from 'vitest';
import { prometheusHistory } from '../../src/console/prometheus.ts';
import { createLog } from '../../src/shared/log.ts';
import { cleanUp } from '../support/cleanup.ts';

const log = createLog('silent', 'stderr');

async function serverThat(answers: RequestListener): Promise<string> {
  const server = createServer(answers);
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  cleanUp(() => new Promise(resolve => server.close(resolve)));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const columns = ['times', 'accepted', 'flushed', 'lag', 'backlog', 'memory'] as const;

it('asks for each figure by its expression and login, and puts the answers on one time line', async () => {
  const asked: { expression: string; authorization: string | undefined }[] = [];
  const url = await serverThat((request, response) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://prometheus');
    expect(pathname).toBe('/api/v1/query_range');
    const expression = searchParams.get('query')!;
    asked.push({ expression, authorization: request.headers.authorization });
    const [start, step] = ['start', 'step'].map(name => Number(searchParams.get(name)));
    const values = [
      [start, '5'],
      [start! + step!, 'NaN'],
    ];
    const result = expression.includes('memory') ? [] : [{ values }];
    response.end(JSON.stringify({ status: 'success', data: { result } }));
  });
  const found = await prometheusHistory({ url: `${url}/`, authorization: 'Basic c2x1aWNl' }, 60, log);
  expect(asked).toHaveLength(5);
  expect(asked.every(({ authorization }) => authorization === 'Basic c2x1aWNl')).toBe(true);
  expect(found).toMatchObject({ source: 'prometheus' });
  expect(found!.accepted.slice(0, 3)).toEqual([5, null, null]);
  expect(found!.memory.every(value => value === null)).toBe(true);
  expect(new Set(columns.map(name => found![name].length))).toEqual(new Set([721]));
  expect(found!.times[1]! - found!.times[0]!).toBe(5);
});

it('gives nothing if the server fails, knows no such metric or leads elsewhere', async () => {
  const failing = await serverThat((_, response) => response.writeHead(503).end());
  const empty = await serverThat((_, response) => response.end('{"data":{"result":[]}}'));
  const elsewhere = await serverThat((_, response) => response.writeHead(302, { location: empty }).end());
  for (const url of [failing, empty, elsewhere, 'http://127.0.0.1:1'])
    expect(await prometheusHistory({ url, authorization: undefined }, 60, log), url).toBeUndefined();
});
