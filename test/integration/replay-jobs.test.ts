// Failed flush jobs beside failed updates: listed, replayed by a wake-up, dropped without loss.

import { describe, expect, it } from 'vitest';
import { openEngine, until } from '../support/engine.ts';
import { author, openFailed } from '../support/failed.ts';

describe('a failed flush job', () => {
  /** An engine with one failed job, whose update is in flight; `mendTable` lets MySQL take it. */
  async function withFailedJob() {
    // The sweep must not flush the partition before the test does.
    const engine = await openEngine({ attempts: 1, stuckAfterMs: 600_000 });
    await engine.worker();
    await engine.database.query('RENAME TABLE sluice_counters TO hidden');
    await (await engine.producer()).counter('views').increment('/');
    const failed = await openFailed(engine);
    await until(async () => (await failed.list()).jobs.length === 1, 'the job to fail');
    return {
      engine,
      failed,
      partition: engine.keys.partitionOf('/'),
      mendTable: () => engine.database.query('RENAME TABLE hidden TO sluice_counters'),
    };
  }

  it('is listed, and replayed by waking its partition', async () => {
    const { engine, failed, partition, mendTable } = await withFailedJob();
    const { jobs } = await failed.list({ partition });
    expect(jobs).toMatchObject([
      { partition, attempts: 1, reason: expect.stringMatching(/sluice_counters/) },
    ]);
    const exported: unknown[] = [];
    for await (const row of failed.export()) exported.push(row);
    expect(exported).toEqual(jobs);
    expect((await failed.list({ partition: partition + 1 })).jobs).toEqual([]);
    expect((await failed.list({ kind: 'counter' })).jobs).toEqual([]);
    expect((await failed.list({ from: jobs[0]!.failedAt })).jobs).toEqual(jobs);
    expect((await failed.list({ until: jobs[0]!.failedAt })).jobs).toEqual([]);
    expect((await failed.plan('replay', {})).jobs).toEqual(jobs);
    await mendTable();
    expect(await failed.replay({ jobs: [jobs[0]!.job] }, author)).toMatchObject({
      finished: true,
      updates: {},
      jobs: { replayed: 1 },
    });
    await until(async () => (await engine.counterInMysql('views', '/')) === 1, 'the flush');
    expect((await failed.list()).jobs).toEqual([]);
    expect(await failed.operation(1)).toMatchObject({ action: 'replay', jobs: [jobs[0]!.job] });
  });

  it('is dropped without its updates, and skipped if another operation has handled it', async () => {
    const { engine, failed, partition, mendTable } = await withFailedJob();
    const [job] = (await failed.list()).jobs;
    const late = await openFailed(engine, {
      seam: async step => {
        if (step === 'started')
          await failed.drop({ jobs: [job!.job] }, { ...author, reason: 'sweep is enough' });
      },
    });
    expect(await late.replay({ partition }, author)).toMatchObject({ finished: true, jobs: { already: 1 } });
    expect((await failed.list()).jobs).toEqual([]);
    expect((await failed.operations()).map(({ action, reason }) => [action, reason])).toEqual([
      ['drop', 'sweep is enough'],
      ['replay', null],
    ]);
    await mendTable();
    await engine.drain();
    expect(await engine.counterInMysql('views', '/')).toBe(1);
  });
});
