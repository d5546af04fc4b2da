/** The first page at night: below the verdict six numbers, the last hour, and what a loss would cost now. */
import type { History, Sample } from '../../answers.ts';
import { bytes, counted, duration, grouped, many, rate } from '../digits.ts';
import { history, sample } from '../live.ts';
import { Chart } from '../parts/chart.tsx';
import { Facts } from '../parts/facts.tsx';
import { Table } from '../parts/table.tsx';

export function OverviewView() {
  const taken = sample.value;
  if (taken === null) return <p class="empty">Waiting for the first sample…</p>;
  return (
    <>
      <Numbers of={taken} />
      {history.value && <Charts of={history.value} />}
      <div class="columns">
        <section>
          <h2>At risk now</h2>
          <p class="quiet">What a loss of Redis would cost at most: accepted, and not in MySQL.</p>
          <AtRisk of={taken} />
        </section>
        <section>
          <h2>Servers and workers</h2>
          <Servers of={taken} />
        </section>
      </div>
    </>
  );
}

interface NumberShown {
  readonly name: string;
  readonly href: string;
  readonly value: string;
  readonly more: string;
  /** Reasons of the verdict that are about this number. */
  readonly about: readonly string[];
}

function numbersOf(taken: Sample): NumberShown[] {
  const { quarantine, memory } = taken;
  const known = <Value,>(value: Value | null, text: (value: Value) => string) =>
    value === null ? '?' : text(value);
  return [
    {
      name: 'Lag',
      href: '/partitions',
      value: known(taken.lagSeconds, duration),
      more: known(taken.lagP99Seconds, value => `oldest update; p99 of partitions ${duration(value)}`),
      about: ['lag', 'stuck', 'halted'],
    },
    {
      name: 'Backlog',
      href: '/partitions?sort=pending',
      value: known(taken.backlog, grouped),
      more: 'updates not in MySQL yet',
      about: ['stuck', 'no-workers', 'breaker-open'],
    },
    {
      name: 'Accepted',
      href: '/processes',
      value: known(taken.acceptedPerSecond, rate),
      more: 'updates a second',
      about: ['redis-away'],
    },
    {
      name: 'Flushed',
      href: '/jobs',
      value: known(taken.flushedPerSecond, rate),
      more: 'updates a second',
      about: ['database-away', 'no-workers', 'breaker-open', 'failed-jobs'],
    },
    {
      name: 'Quarantine',
      href: '/quarantine',
      value: known(quarantine, ({ refused }) => counted(refused)),
      more: known(quarantine, quarantineText),
      about: ['quarantine', 'held'],
    },
    {
      name: 'Redis memory',
      href: '/processes',
      value: known(memory, ({ used, limit }) =>
        limit ? `${Math.round((100 * used) / limit)} %` : bytes(used),
      ),
      more: known(memory, ({ used, limit }) =>
        limit ? `${bytes(used)} of ${bytes(limit)}` : 'no limit is set',
      ),
      about: ['memory'],
    },
  ];
}

function quarantineText({ held, oldestSeconds }: NonNullable<Sample['quarantine']>): string {
  const waiting = held.count > 0 ? `refused; ${counted(held)} held` : 'refused';
  return oldestSeconds === null ? waiting : `${waiting}; oldest ${duration(oldestSeconds)}`;
}

function Numbers({ of }: { of: Sample }) {
  const { level, reason } = of.verdict;
  return (
    <ul class="numbers" aria-label="Now">
      {numbersOf(of).map(({ name, href, value, more, about }) => (
        <li key={name} class={about.includes(reason) ? `number-card card-${level}` : 'number-card'}>
          <a href={href}>
            <span class="number-name">{name}</span>
            <span class="number-value">{value}</span>
            <span class="number-more">{more}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}

const LAG_STEPS = [
  0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21_600, 86_400,
];
/** From a kilobyte to a terabyte. */
const MEMORY_STEPS = Array.from({ length: 31 }, (_, power) => 2 ** (power + 10));

function Charts({ of }: { of: History }) {
  const { times } = of;
  return (
    <section aria-labelledby="charts">
      <h2 id="charts">
        The last hour{' '}
        <span class="quiet">
          {of.source === 'prometheus' ? 'from Prometheus' : 'since this console runs'}
        </span>
      </h2>
      <div class="charts">
        <Chart
          title="Updates a second"
          times={times}
          lines={[
            { name: 'accepted', values: of.accepted },
            { name: 'flushed', values: of.flushed },
          ]}
          format={rate}
        />
        <Chart
          title="Lag"
          times={times}
          lines={[{ name: 'lag', values: of.lag }]}
          format={duration}
          steps={LAG_STEPS}
        />
        <Chart
          title="Backlog"
          times={times}
          lines={[{ name: 'backlog', values: of.backlog }]}
          format={value => grouped(Math.round(value))}
        />
        <Chart
          title="Redis memory"
          times={times}
          lines={[{ name: 'memory', values: of.memory }]}
          format={bytes}
          steps={MEMORY_STEPS}
        />
      </div>
    </section>
  );
}

function AtRisk({ of }: { of: Sample }) {
  return (
    <Table
      caption="At risk now"
      rows={of.atRisk}
      rowKey={({ program }) => program}
      empty="Nothing: every accepted update of points is in MySQL."
      columns={[
        { head: 'Program', cell: ({ program }) => program },
        { head: 'Points', cell: ({ points }) => grouped(points), isNumber: true },
      ]}
    />
  );
}

function Servers({ of }: { of: Sample }) {
  const { declared, jobs, workersAlive, breakersOpen } = of;
  return (
    <Facts
      of={[
        ['Redis', of.redis],
        ['MySQL', of.database],
        ['Workers alive', <a href="/processes">{workersAlive === null ? '?' : grouped(workersAlive)}</a>],
        ['Breakers open', breakersOpen === null ? '?' : grouped(breakersOpen)],
        [
          'Halted partitions',
          of.halted.length === 0 ? 'none' : <a href="/partitions?halted">{of.halted.join(', ')}</a>,
        ],
        [
          'Declared losses',
          declared === null
            ? '?'
            : `${grouped(declared.lost)} lost, ${grouped(declared.doubled)} doubled, at most`,
        ],
        [
          'Flush jobs',
          jobs === null ? (
            '?'
          ) : (
            <a href="/jobs">{`${many(jobs.failed, 'job')} failed, ${grouped(jobs.waiting)} waiting`}</a>
          ),
        ],
      ]}
    />
  );
}
