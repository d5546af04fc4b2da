/** A client of the HTTP API with types from its OpenAPI document: node client.ts http://127.0.0.1:8080 KEY */
import type { components, paths } from './api-types.ts';

const [base = 'http://127.0.0.1:8080', key = ''] = process.argv.slice(2);

type Schemas = components['schemas'];
type Path = keyof paths;

async function call<Answer>(method: string, path: string, body?: unknown, headers = {}): Promise<Answer> {
  const response = await fetch(base + path, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (response.ok) return (await response.json()) as Answer;
  const problem = (await response.json()) as Schemas['Problem'];
  // A problem says whether a retry helps. With the same id it is safe, whatever happened.
  throw new Error(`${problem.code}: ${problem.detail}`);
}

/** Fills in the names of a path, which the compiler knows. */
function at(path: Path, name = '', query: Record<string, string> = {}): string {
  const text = new URLSearchParams(query).toString();
  return path.replace('{name}', encodeURIComponent(name)) + (text && `?${text}`);
}

const view: Schemas['Increment'] = { key: '/pricing', by: 2, id: 'view-1' };
const written = await call<Schemas['Written']>('POST', at('/v1/counters/{name}', 'page_views'), view);
const again = await call<Schemas['Written']>('POST', at('/v1/counters/{name}', 'page_views'), view);
const values = await call<Schemas['Values']>(
  'GET',
  at('/v1/counters/{name}', 'page_views', { key: '/pricing' }),
);

const entry: Schemas['Entry'] = { account: 'ada', amount: 25, reason: 'purchase', metadata: { order: 17 } };
const entries = at('/v1/points/{name}/entries', 'loyalty');
await call<Schemas['Written']>('POST', entries, entry, { 'idempotency-key': '"order-17"' });
const balance = await call<Schemas['Balance']>(
  'GET',
  at('/v1/points/{name}/balance', 'loyalty', { account: 'ada' }),
);

const batch: (Schemas['CounterUpdate'] | Schemas['PointsUpdate'])[] = [
  { counter: 'page_views', key: '/pricing' },
  { points: 'loyalty', account: 'ada', amount: -100, id: 'too-much' },
];
const { results } = await call<Schemas['Results']>('POST', at('/v1/updates'), batch);
const refused = results.flatMap(result => ('error' in result ? [result.error.code] : []));

console.log(
  JSON.stringify({
    duplicates: [written.duplicate, again.duplicate],
    value: values.values[0],
    balance: balance.balance,
    refused,
  }),
);
