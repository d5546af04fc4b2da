/** The results as tables and as charts. */
import type {
  compareCalls,
  compareColdStarts,
  compareExpiries,
  compareHerds,
  compareHttp,
  fillCache,
} from './measurements.ts';
import type { Chart } from './picture.ts';

export interface Results {
  readonly at: string;
  readonly machine: string;
  readonly http: Awaited<ReturnType<typeof compareHttp>>;
  readonly calls: Awaited<ReturnType<typeof compareCalls>>;
  readonly filling: Awaited<ReturnType<typeof fillCache>>;
  readonly coldStarts: Awaited<ReturnType<typeof compareColdStarts>>;
  readonly herds: Awaited<ReturnType<typeof compareHerds>>;
  readonly expiries: Awaited<ReturnType<typeof compareExpiries>>;
}

const count = (value: number) => Math.round(value).toLocaleString('en-US');
const ms = (value: number) => (value < 1 ? value.toFixed(3) : value < 10 ? value.toFixed(1) : count(value));
const percent = (value: number | null) => (value === null ? '-' : `${(100 * value).toFixed(2)} %`);

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** How many times more reads with the cache. */
export const factorOf = ({ without, with: cached }: Results['http']) => cached.perSecond / without.perSecond;

export function tablesOf({ machine, http, calls, filling, coldStarts, herds, expiries }: Results): string {
  const reads = (
    name: string,
    { perSecond, p50, p99, queriesPerSecond, hitRate }: Results['http']['with'],
  ) => [name, count(perSecond), ms(p50), ms(p99), count(queriesPerSecond), percent(hitRate)];
  const start = (name: string, figures: Results['coldStarts']['with']) => [
    name,
    count(figures.startMs),
    ms(figures.p50),
    ms(figures.p99),
    count(figures.queries),
    percent(figures.hitRate),
  ];
  return [
    machine,
    table(
      ['reads', 'a second', 'p50, ms', 'p99, ms', 'queries a second', 'hit rate'],
      [
        reads('HTTP, past the cache', http.without),
        reads(`HTTP, with the cache: ${factorOf(http).toFixed(1)} times`, http.with),
        reads('calls, past the cache', calls.without),
        reads(`calls, with the cache: ${factorOf(calls).toFixed(1)} times`, calls.with),
      ],
    ),
    `From an empty cache, ${count(filling.requests)} requests of ${count(filling.products)} products: hit rate ${percent(filling.hitRate)}`,
    table(
      [
        `first ${count(coldStarts.requests)} requests to an empty cache`,
        'start, ms',
        'p50, ms',
        'p99, ms',
        'queries',
        'hit rate',
      ],
      [start('cold', coldStarts.without), start('warmed up', coldStarts.with)],
    ),
    table(
      ['1,000 callers of a cold product, 4 processes', 'queries', 'last answer, ms'],
      herds.map(({ way, queries, longestMs }) => [way, count(queries), ms(longestMs)]),
    ),
    table(
      [
        'a product that ends each second, 4 processes',
        'queries a second',
        'callers that waited',
        'p99, ms',
        'longest, ms',
      ],
      expiries.map(({ way, queries, waited, p99, longestMs }) => [
        way,
        queries.toFixed(1),
        percent(waited),
        ms(p99),
        ms(longestMs),
      ]),
    ),
  ].join('\n\n');
}

export function chartsOf({ http, calls, herds, expiries }: Results): Chart[] {
  const pair = (title: string, { without, with: cached }: Results['http']): Chart => ({
    title,
    bars: [
      { name: 'past the cache', value: without.perSecond, text: count(without.perSecond), ours: false },
      { name: 'with the cache', value: cached.perSecond, text: count(cached.perSecond), ours: true },
    ],
  });
  return [
    pair('Reads a second over HTTP, one process', http),
    pair('Reads a second without HTTP, one process', calls),
    {
      title: 'Queries for 1,000 callers of a cold product, four processes',
      bars: herds.map(({ way, queries }, index) => ({
        name: way,
        value: queries,
        text: count(queries),
        ours: index === herds.length - 1,
      })),
    },
    {
      title: 'Callers that waited while a product ended each second, four processes',
      bars: expiries.map(({ way, waited }, index) => ({
        name: way,
        value: waited,
        text: percent(waited),
        ours: index > 1,
      })),
    },
  ];
}
