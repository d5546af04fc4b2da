/** Each partition: how far it is behind, what waits in it, and whether it is halted. */
import { useSignal } from '@preact/signals';
import type { PartitionRow, Partitions } from '../../answers.ts';
import { address, query } from '../address.ts';
import { useAsked } from '../asked.ts';
import { duration, grouped } from '../digits.ts';
import { EvidenceDialog } from '../parts/evidence.tsx';
import { Chip } from '../parts/mark.tsx';
import { ProblemNote } from '../parts/problem.tsx';
import { Table } from '../parts/table.tsx';
import { When } from '../parts/when.tsx';

const ORDERS: Readonly<Record<string, (a: PartitionRow, b: PartitionRow) => number>> = {
  urgency: (a, b) => Number(b.halted) - Number(a.halted) || b.lagSeconds - a.lagSeconds,
  partition: (a, b) => a.partition - b.partition,
  pending: (a, b) => b.pendingUpdates + b.inFlight - a.pendingUpdates - a.inFlight,
};

export function PartitionsView() {
  const { answer, problem, reload } = useAsked<Partitions>('/api/partitions', 2000);
  const order = query.value.get('sort') ?? 'urgency';
  const onlyHalted = query.value.has('halted');
  const rows = (answer?.partitions ?? []).filter(({ halted }) => !onlyHalted || halted);
  return (
    <>
      <h1>Partitions</h1>
      <ProblemNote problem={problem} retry={reload} />
      {answer && <Strip rows={answer.partitions} />}
      <nav class="choices" aria-label="Order">
        {Object.keys(ORDERS).map(one => (
          <a
            key={one}
            href={address('/partitions', { sort: one })}
            aria-current={one === order ? 'true' : undefined}
          >
            by {one}
          </a>
        ))}
        <a href="/partitions?halted=yes" aria-current={onlyHalted ? 'true' : undefined}>
          halted only
        </a>
      </nav>
      {answer && <Rows rows={rows.toSorted(ORDERS[order] ?? ORDERS.urgency)} onlyHalted={onlyHalted} />}
    </>
  );
}

/** A bar for each partition, its height by the logarithm of the lag. */
function Strip({ rows }: { rows: readonly PartitionRow[] }) {
  return (
    <ol class="strip" aria-label="Lag by partition">
      {rows.toSorted(ORDERS.partition).map(({ partition, lagSeconds, halted }) => {
        const level = levelOf(lagSeconds, halted);
        const height = halted ? FULL : heightOf(lagSeconds);
        const text = `Partition ${partition}: ${halted ? 'halted' : `${duration(lagSeconds)} behind`}`;
        return (
          <li key={partition} class={`strip-${level}`} title={text}>
            <span class="unseen">{text}</span>
            <svg viewBox="0 0 10 40" preserveAspectRatio="none" aria-hidden="true">
              <rect x="0" width="10" y={FULL - height} height={height} />
              {halted && <path d="M0 0L10 40M10 0L0 40" />}
            </svg>
          </li>
        );
      })}
    </ol>
  );
}

/** Height of a bar at a lag of a thousand seconds and more. */
const FULL = 40;

function heightOf(lagSeconds: number): number {
  return Math.min(FULL, 2 + ((FULL - 2) * Math.log10(1 + lagSeconds)) / 3);
}

/** The verdict warns from the same lag on. */
const WARNING_SECONDS = 5;

function levelOf(lagSeconds: number, isHalted: boolean): 'well' | 'warning' | 'bad' {
  if (isHalted || lagSeconds >= 60) return 'bad';
  return lagSeconds >= WARNING_SECONDS ? 'warning' : 'well';
}

function Rows({ rows, onlyHalted }: { rows: readonly PartitionRow[]; onlyHalted: boolean }) {
  const shown = useSignal<number | null>(null);
  return (
    <>
      <Table
        caption="Partitions"
        rows={rows}
        rowKey={({ partition }) => partition}
        empty={onlyHalted ? 'No partition is halted.' : 'There are no partitions.'}
        columns={[
          { head: 'Partition', cell: ({ partition }) => partition, isNumber: true },
          { head: 'State', cell: row => <State of={row} /> },
          { head: 'Lag', cell: ({ lagSeconds }) => duration(lagSeconds), isNumber: true },
          { head: 'Pending updates', cell: ({ pendingUpdates }) => grouped(pendingUpdates), isNumber: true },
          { head: 'Pending keys', cell: ({ pendingKeys }) => grouped(pendingKeys), isNumber: true },
          { head: 'In flight', cell: ({ inFlight }) => grouped(inFlight), isNumber: true },
          { head: 'Sequence', cell: ({ sequence }) => grouped(sequence), isNumber: true },
          { head: 'Last commit', cell: ({ committedAt }) => <When at={committedAt} ago="only" /> },
          {
            head: '',
            cell: ({ partition }) => (
              <button
                type="button"
                onClick={() => {
                  shown.value = partition;
                }}
              >
                Evidence<span class="unseen"> of partition {partition}</span>
              </button>
            ),
          },
        ]}
      />
      {shown.value !== null && (
        <EvidenceDialog
          partition={shown.value}
          onClose={() => {
            shown.value = null;
          }}
        />
      )}
    </>
  );
}

function State({ of: { halted, lagSeconds } }: { of: PartitionRow }) {
  if (halted) return <Chip level="bad">halted</Chip>;
  return <Chip level={levelOf(lagSeconds, false)}>{lagSeconds < 10 ? 'in order' : 'behind'}</Chip>;
}
