/** The flush jobs of BullMQ. They carry no data: a failed one is a wake-up that was given up. */
import { useSignal } from '@preact/signals';
import type { Jobs } from '../../answers.ts';
import { address, query } from '../address.ts';
import { useAsked } from '../asked.ts';
import { grouped } from '../digits.ts';
import { Action, WhyNot } from '../parts/action.tsx';
import { Pager } from '../parts/pager.tsx';
import { ProblemNote } from '../parts/problem.tsx';
import { RunDialog, type Wanted } from '../parts/run.tsx';
import { Table } from '../parts/table.tsx';
import { When } from '../parts/when.tsx';

const STATES = ['failed', 'active', 'delayed', 'waiting'] as const;

export function JobsView() {
  const state = STATES.find(one => one === query.value.get('state')) ?? 'failed';
  const after = query.value.get('after');
  const { answer, problem, reload } = useAsked<Jobs>(address('/api/jobs', { state, after }), 3000);
  return (
    <>
      <h1>Flush jobs</h1>
      <p class="quiet">
        A flush job only wakes a worker; the updates wait in their partition. A failed job loses nothing, and
        the sweep flushes its partitions.
      </p>
      <ProblemNote problem={problem} retry={reload} />
      <nav class="choices" aria-label="State">
        {STATES.map(one => (
          <a
            key={one}
            href={address('/jobs', { state: one })}
            aria-current={one === state ? 'true' : undefined}
          >
            {one} {answer && <span class="number">{grouped(answer.counts[one])}</span>}
          </a>
        ))}
      </nav>
      {answer && <JobList jobs={answer.jobs} state={state} />}
      {answer && (
        <Pager name="after" next={nextOf(answer, state, Number(after ?? 0))} label="Pages of jobs" />
      )}
    </>
  );
}

/** The place of a page is how many jobs are before it. */
function nextOf({ jobs, counts }: Jobs, state: (typeof STATES)[number], after: number): number | null {
  const next = after + jobs.length;
  return jobs.length > 0 && next < counts[state] ? next : null;
}

function JobList({ jobs, state }: { jobs: Jobs['jobs']; state: string }) {
  const wanted = useSignal<Wanted | null>(null);
  const act = (action: Wanted['action'], ids: readonly string[]) => () => {
    wanted.value = { action, filter: { jobs: ids } };
  };
  const all = jobs.map(({ job }) => job);
  const canAct = state === 'failed' && jobs.length > 0;
  return (
    <>
      {canAct && (
        <p class="buttons">
          <Action needs="operator" kind="main" onAct={act('replay', all)}>
            Replay all shown…
          </Action>
          <Action needs="operator" kind="danger" onAct={act('drop', all)}>
            Drop all shown…
          </Action>
          <WhyNot needs="operator" />
        </p>
      )}
      <Table
        caption="Flush jobs"
        rows={jobs}
        rowKey={({ job }) => job}
        empty={`No job is ${state}.`}
        columns={[
          { head: 'Job', cell: ({ job }) => <code>{job}</code> },
          { head: 'Partition', cell: ({ partition }) => partition, isNumber: true },
          { head: 'Attempts', cell: ({ attempts }) => grouped(attempts), isNumber: true },
          { head: 'When', cell: ({ at }) => <When at={at} /> },
          { head: 'Last error', cell: ({ reason }) => <span class="error-text">{reason}</span> },
          ...(canAct
            ? [
                {
                  head: '',
                  cell: ({ job }: Jobs['jobs'][number]) => (
                    <span class="buttons">
                      <Action needs="operator" onAct={act('replay', [job])}>
                        Replay…
                      </Action>
                      <Action needs="operator" onAct={act('drop', [job])}>
                        Drop…
                      </Action>
                    </span>
                  ),
                },
              ]
            : []),
        ]}
      />
      {wanted.value && (
        <RunDialog
          wanted={wanted.value}
          onClose={() => {
            wanted.value = null;
          }}
        />
      )}
    </>
  );
}
