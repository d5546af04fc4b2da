/** One sentence about the whole: is all well, and if not, what is the most urgent? Pure, so that a test has every case. */
import type { Reason, Verdict } from './answers.ts';
import { type Figures, MOST_COUNTED } from './figures.ts';

/** What a sample knows beside the figures of both servers. */
export interface Judged extends Figures {
  /** Why the console could not connect since it started; undefined if it has. */
  readonly trouble?: { readonly code: string; readonly message: string } | undefined;
  /** Seconds since the sample was taken. */
  readonly staleSeconds: number;
  /** Partitions with a lag of over a minute whose batch has not changed for as long. */
  readonly stuck: readonly number[];
  readonly breakersOpen: number | undefined;
  readonly workersAlive: number | undefined;
}

interface Finding {
  readonly reason: Reason;
  readonly level: 'warning' | 'bad';
  readonly sentence: string;
  readonly next: string;
  /** Heading of docs/operating.md, as its anchor. */
  readonly runbook: string;
  readonly page: string | null;
}

const LAG_WARNING = 5;
const LAG_BAD = 60;
const MEMORY_WARNING = 0.8;
const MEMORY_BAD = 0.95;
const OLD_QUARANTINE = 3600;
const OVERDUE = 60;
const STALE = 5;

const WELL: Verdict = {
  level: 'well',
  reason: 'well',
  sentence: 'All is well.',
  next: '',
  runbook: null,
  page: null,
  also: [],
};

export function judge(figures: Judged): Verdict {
  const [first, ...others] = findings(figures);
  if (!first) return { ...WELL, sentence: wellSentence(figures) };
  return { ...first, also: others.map(({ sentence }) => sentence) };
}

function wellSentence({ partitions = [] }: Judged): string {
  const lag = Math.max(0, ...partitions.map(({ lagSeconds }) => lagSeconds));
  return lag === 0
    ? 'All is well: every accepted update is in MySQL.'
    : `All is well: updates reach MySQL within ${seconds(lag)}.`;
}

/** The most urgent first. */
function findings(figures: Judged): Finding[] {
  if (figures.trouble) return [notConnected(figures.trouble)];
  const found = [
    ...servers(figures),
    ...halted(figures),
    ...losses(figures),
    ...workers(figures),
    ...stuck(figures),
    ...memory(figures),
    ...lag(figures),
    ...waiting(figures),
    ...stale(figures),
  ];
  // What is bad comes before what is only to be looked at.
  return [...found.filter(({ level }) => level === 'bad'), ...found.filter(({ level }) => level !== 'bad')];
}

/** Nothing else is known then. */
function notConnected({ code, message }: NonNullable<Judged['trouble']>): Finding {
  const next = 'The console shows all the rest once it has connected; it tries again every few seconds.';
  const reason = /^DATABASE_/.test(code) ? 'database-away' : 'redis-away';
  const sentence = { 'redis-away': REDIS_AWAY, 'database-away': DATABASE_AWAY }[reason];
  const isOutage = /_UNAVAILABLE$/.test(code);
  return {
    ...bad(isOutage ? reason : 'not-connected', 'sluiceserverunreachable'),
    sentence: isOutage ? sentence : `The console cannot use the servers (${code}): ${message}`,
    next,
    page: null,
  };
}

const REDIS_AWAY = 'Redis does not answer: calls of services fail, and nothing is accepted.';
const DATABASE_AWAY = 'MySQL does not answer: updates are accepted and wait in Redis.';

function* servers({ partitions, stored }: Judged): Generator<Finding> {
  if (!partitions)
    yield {
      ...bad('redis-away', 'sluiceserverunreachable'),
      sentence: REDIS_AWAY,
      next: 'Bring Redis back with its data. If it comes back empty or older, read the page about recovery first.',
      page: null,
    };
  if (!stored)
    yield {
      ...bad('database-away', 'sluicebreakeropen'),
      sentence: DATABASE_AWAY,
      next: 'Bring MySQL back, and watch the memory of Redis meanwhile. Workers notice by themselves.',
      page: null,
    };
  else if (stored.condition !== 'yes')
    yield {
      ...bad('database-away', 'sluicebreakeropen'),
      sentence: 'MySQL takes no writes: updates are accepted and wait in Redis.',
      next: 'Make the database writable, or name its writer in MYSQL_URL.',
      page: null,
    };
}

function* halted({ halted: partitions }: Judged): Generator<Finding> {
  if (partitions.length === 0) return;
  yield {
    ...bad('halted', 'sluicepartitionhalted'),
    sentence: `${list(partitions)} halted: Redis and MySQL contradict each other, so a backup was restored.`,
    next: 'Nothing is lost by waiting. Look at the evidence, then run: sluice recover',
    page: '/partitions?halted=yes',
  };
}

function* losses({ stored }: Judged): Generator<Finding> {
  if (!stored || stored.recentLosses === 0) return;
  yield {
    ...bad('lost', 'sluiceupdateslost'),
    sentence: `Redis lost data within the last hour: up to ${count(stored.recentLosses, 'update')} lost or counted twice.`,
    next: 'Tell those who own the numbers, and find out why Redis lost its memory.',
    page: '/partitions',
  };
}

function* workers({ breakersOpen = 0, workersAlive, partitions, stored }: Judged): Generator<Finding> {
  if (breakersOpen > 0 && stored)
    yield {
      ...bad('breaker-open', 'sluicebreakeropen'),
      sentence: `${count(breakersOpen, 'worker')} paused, since MySQL did not answer them.`,
      next: 'Look whether MySQL has connections left for the workers, and whether it is read-only.',
      page: '/processes',
    };
  if (partitions && workersAlive === 0)
    yield {
      ...bad('no-workers', 'sluicenoworkers'),
      sentence: 'No worker is alive: updates are accepted and wait in Redis.',
      next: 'Start a worker: sluice worker',
      page: '/processes',
    };
}

function* stuck({ stuck: partitions }: Judged): Generator<Finding> {
  if (partitions.length === 0) return;
  yield {
    ...bad('stuck', 'sluicepartitionstuck'),
    sentence: `${list(partitions)} stuck: updates grow old, and no batch has been written for a minute.`,
    next: 'Look in the logs of the workers for its number, and in MySQL for who holds a lock.',
    page: '/partitions',
  };
}

function* memory({ memory: found }: Judged): Generator<Finding> {
  const share = found?.limit ? found.used / found.limit : 0;
  if (share < MEMORY_WARNING) return;
  yield {
    ...(share >= MEMORY_BAD ? bad : warning)('memory', 'sluiceredismemoryhigh'),
    sentence: `Redis' memory is full to ${Math.floor(share * 100)} %: at its limit, updates are refused.`,
    next: 'Let the workers catch up, or give Redis more memory.',
    page: null,
  };
}

function* lag({ partitions = [], halted: stopped }: Judged): Generator<Finding> {
  const moving = partitions.filter(({ partition }) => !stopped.includes(partition));
  const worst = moving.toSorted((a, b) => b.lagSeconds - a.lagSeconds)[0];
  if (!worst || worst.lagSeconds < LAG_WARNING) return;
  yield {
    ...(worst.lagSeconds >= LAG_BAD ? bad : warning)('lag', 'sluicelagburnsfast'),
    sentence: `Flushes are ${seconds(worst.lagSeconds)} behind in partition ${worst.partition}.`,
    next: 'If the backlog grows, add workers; if transactions are long, look for locks in MySQL.',
    page: '/partitions',
  };
}

function* waiting({ stored, jobs }: Judged): Generator<Finding> {
  if (stored && stored.held > 0)
    yield {
      ...warning('held', 'sluicetableheld'),
      sentence: `${counted(stored.held, 'update')} held, since a mapped table cannot be written.`,
      next: 'Repair the table; workers write them as soon as it takes rows.',
      page: '/quarantine',
    };
  if ((jobs?.failed ?? 0) > 0)
    yield {
      ...warning('failed-jobs', 'sluiceflushjobsfailed'),
      sentence: `${number(jobs!.failed!, 'flush job')} failed for good; their updates are safe, and the sweep goes on.`,
      next: 'Read their errors, then replay or drop them.',
      page: '/jobs?state=failed',
    };
  if (stored && stored.refused > 0) {
    const old = stored.oldestSeconds ?? 0;
    yield {
      ...warning('quarantine', 'sluicequarantineold'),
      sentence: `${counted(stored.refused, 'update')} in quarantine, the oldest for ${seconds(old)}${old > OLD_QUARANTINE ? ': nobody has dealt with it' : ''}.`,
      next: 'Look at why MySQL refuses them, mend it, then replay them.',
      page: '/quarantine',
    };
  }
  if (stored && stored.aside > 0)
    yield {
      ...warning('transfers-aside', 'sluicetransfersaside'),
      sentence: `${counted(stored.aside, 'transfer')} aside, since MySQL refused the credit.`,
      next: 'Mend the cause, then run: sluice transfers retry --all',
      page: null,
    };
  if (stored && stored.overdueSeconds > OVERDUE)
    yield {
      ...warning('holds-overdue', 'sluiceholdsoverdue'),
      sentence: `A hold should have ended ${seconds(stored.overdueSeconds)} ago.`,
      next: 'Look whether workers flush its partition.',
      page: null,
    };
}

function* stale({ staleSeconds }: Judged): Generator<Finding> {
  if (staleSeconds < STALE) return;
  yield {
    ...warning('stale', 'sluiceserverunreachable'),
    sentence: `These figures are ${seconds(staleSeconds)} old.`,
    next: 'The console is slow, or a server answers it slowly.',
    page: null,
  };
}

function bad(reason: Reason, runbook: string) {
  return { reason, level: 'bad' as const, runbook: `#${runbook}` };
}

function warning(reason: Reason, runbook: string) {
  return { reason, level: 'warning' as const, runbook: `#${runbook}` };
}

/** "Partition 3 is" or "Partitions 1, 2 and 3 are"; of many only the first ones. */
function list(partitions: readonly number[]): string {
  if (partitions.length === 1) return `Partition ${partitions[0]} is`;
  if (partitions.length > 5) return `${partitions.length} partitions are`;
  return `Partitions ${partitions.slice(0, -1).join(', ')} and ${partitions.at(-1)} are`;
}

function counted(found: number, what: string): string {
  return found > MOST_COUNTED ? `At least ${MOST_COUNTED} ${what}s are` : count(found, what);
}

function count(found: number, what: string): string {
  return `${number(found, what)} ${found === 1 ? 'is' : 'are'}`;
}

function number(found: number, what: string): string {
  return found === 1 ? `1 ${what}` : `${found} ${what}s`;
}

/** "3 s", "4 min" or "2 h", rounded so that the number stays short. */
export function seconds(given: number): string {
  if (given < 10) return `${given.toFixed(1)} s`;
  if (given < 120) return `${Math.round(given)} s`;
  if (given < 7200) return `${Math.round(given / 60)} min`;
  return `${Math.round(given / 3600)} h`;
}
