/**
 * Stands for the outside API: `npm run stub`. It can be told to behave badly: `curl -X POST $OUTSIDE_URL/mode/hang`, or
 * `fail`, or `slow`, or `well`. `GET /calls` says what it has seen.
 */
import { createServer } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { settings } from '../settings.ts';

const RATES: Record<string, number> = { CHF: 0.93, EUR: 1, GBP: 0.87, JPY: 181, USD: 1.16 };
const SLOW_MS = 300;

let mode = 'well';
const calls = { all: 0, open: 0, mostOpen: 0 };

const server = createServer(async (request, response) => {
  const [, what, name = ''] = request.url!.split('/');
  const json = { 'content-type': 'application/json' };
  const send = (status: number, body: object) => response.writeHead(status, json).end(JSON.stringify(body));
  if (what === 'calls') return send(200, calls);
  if (what === 'mode') {
    mode = name;
    return send(200, { mode });
  }
  calls.all += 1;
  calls.open += 1;
  calls.mostOpen = Math.max(calls.mostOpen, calls.open);
  // Also if the caller has given up.
  response.once('close', () => {
    calls.open -= 1;
  });
  if (mode === 'hang') return;
  if (mode === 'slow') await setTimeout(SLOW_MS);
  const rate = RATES[name];
  if (mode === 'fail') send(500, { error: 'broken' });
  else if (rate === undefined) send(404, { error: 'no such currency' });
  else send(200, { rate });
});

const { host, port } = settings;
server.listen(port, host, () => console.log(`listening on http://${host}:${port}`));
