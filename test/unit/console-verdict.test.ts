// The console's verdict: which of all that is wrong comes first, and in which words.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Memory, Stored } from '../../src/console/figures.ts';
import { type Judged, judge, seconds } from '../../src/console/verdict.ts';
import type { PartitionStatus } from '../../src/shared/redis/inspect.ts';

const stored: Stored = {
  condition: 'yes',
  refused: 0,
  held: 0,
  oldestSeconds: null,
  aside: 0,
  overdueSeconds: 0,
  lost: 0,
  doubled: 0,
  recentLosses: 0,
};

function partition(number: number, lagSeconds = 0): PartitionStatus {
  return {
    partition: number,
    epoch: 'e',
    sequence: 1,
    token: '',
    updates: 0,
    pendingUpdates: 0,
    pendingKeys: 0,
    pendingEntries: 0,
    inFlight: 0,
    lagSeconds,
    lost: [],
  };
}

const well: Judged = {
  partitions: [partition(0), partition(1)],
  jobs: { failed: 0 },
  processes: [],
  memory: { used: 10, limit: 100 },
  points: new Map(),
  stored,
  halted: [],
  staleSeconds: 0,
  stuck: [],
  breakersOpen: 0,
  workersAlive: 1,
};

const memory = (used: number): Memory => ({ used, limit: 100 });

const cases: [what: string, given: Partial<Judged>, level: string, reason: string, sentence: RegExp][] = [
  ['Redis away', { partitions: undefined }, 'bad', 'redis-away', /^Redis does not answer/],
  ['MySQL away', { stored: undefined }, 'bad', 'database-away', /^MySQL does not answer/],
  ['read-only', { stored: { ...stored, condition: 'no' } }, 'bad', 'database-away', /takes no writes/],
  ['a halt', { halted: [3] }, 'bad', 'halted', /^Partition 3 is halted/],
  ['halts', { halted: [1, 2, 3] }, 'bad', 'halted', /^Partitions 1, 2 and 3 are halted/],
  ['many halts', { halted: [1, 2, 3, 4, 5, 6] }, 'bad', 'halted', /^6 partitions are halted/],
  ['a loss', { stored: { ...stored, recentLosses: 7 } }, 'bad', 'lost', /up to 7 updates/],
  ['a breaker', { breakersOpen: 1 }, 'bad', 'breaker-open', /^1 worker is paused/],
  ['no worker', { workersAlive: 0 }, 'bad', 'no-workers', /^No worker is alive/],
  ['stuck', { stuck: [4] }, 'bad', 'stuck', /^Partition 4 is stuck/],
  ['memory', { memory: memory(96) }, 'bad', 'memory', /full to 96 %/],
  ['less memory', { memory: memory(81) }, 'warning', 'memory', /full to 81 %/],
  [
    'lag',
    { partitions: [partition(0), partition(1, 74)] },
    'bad',
    'lag',
    /^Flushes are 74 s behind in partition 1/,
  ],
  [
    'less lag',
    { partitions: [partition(0, 6)] },
    'warning',
    'lag',
    /^Flushes are 6\.0 s behind in partition 0/,
  ],
  ['held', { stored: { ...stored, held: 10_001 } }, 'warning', 'held', /^At least 10000 updates are held/],
  ['a failed job', { jobs: { failed: 1 } }, 'warning', 'failed-jobs', /^1 flush job failed/],
  [
    'quarantine',
    { stored: { ...stored, refused: 2, oldestSeconds: 7300 } },
    'warning',
    'quarantine',
    /^2 updates are in quarantine, the oldest for 2 h: nobody/,
  ],
  ['transfers', { stored: { ...stored, aside: 1 } }, 'warning', 'transfers-aside', /^1 transfer is aside/],
  ['holds', { stored: { ...stored, overdueSeconds: 90 } }, 'warning', 'holds-overdue', /90 s ago/],
  ['old figures', { staleSeconds: 9 }, 'warning', 'stale', /9\.0 s old/],
];

describe('the verdict', () => {
  it('says that all is well, and how far behind MySQL is', () => {
    expect(judge(well)).toMatchObject({ level: 'well', reason: 'well', also: [], runbook: null });
    expect(judge({ ...well, partitions: [partition(0, 0.25)] }).sentence).toMatch(/within 0\.3 s/);
  });

  it.each(cases)('of %s', (_, given, level, reason, sentence) => {
    const verdict = judge({ ...well, ...given });
    expect(verdict).toMatchObject({ level, reason, also: [] });
    expect(verdict.sentence).toMatch(sentence);
    expect(verdict.next).not.toBe('');
  });

  it('puts the most urgent first, and names all others', () => {
    const all = Object.assign({}, ...cases.map(([, given]) => given)) as Judged;
    const verdict = judge({
      ...all,
      partitions: [partition(0, 74)],
      stored: { ...stored, recentLosses: 1, held: 1, refused: 1, aside: 1, overdueSeconds: 90 },
      memory: memory(81),
    });
    expect(verdict.reason).toBe('halted');
    // Memory is the only one of the earlier reasons that is no more than a warning, so it comes after the bad ones.
    expect(verdict.also).toHaveLength(12);
    expect(verdict.also.findIndex(one => /memory/.test(one))).toBe(5);
  });

  it('leads to a section of the runbook that exists', () => {
    const page = readFileSync(new URL('../../docs/operating.md', import.meta.url), 'utf8');
    const anchors = [...page.matchAll(/^#+ (.+)$/gm)].map(
      ([, title]) => `#${title!.toLowerCase().replaceAll(' ', '-')}`,
    );
    for (const [, given] of cases) expect(anchors).toContain(judge({ ...well, ...given }).runbook);
  });
});

it('durations are short', () => {
  expect([0.04, 9.9, 59.6, 119, 121, 7199, 7201].map(seconds)).toEqual([
    ...['0.0 s', '9.9 s', '60 s', '119 s', '2 min', '120 min', '2 h'],
  ]);
});
