/** What `sluice recover` shows of a partition. Recovery itself stays in the terminal, where it is thought over. */
import type { PartitionEvidence } from '../../answers.ts';
import { useAsked } from '../asked.ts';
import { grouped, many } from '../digits.ts';
import { Dialog } from './dialog.tsx';
import { Facts } from './facts.tsx';
import { ProblemNote } from './problem.tsx';
import { Table } from './table.tsx';

export function EvidenceDialog({ partition, onClose }: { partition: number; onClose: () => void }) {
  const { answer, problem, reload } = useAsked<PartitionEvidence>(`/api/partitions/${partition}/evidence`);
  return (
    <Dialog title={`Partition ${partition}: what both sides know`} onClose={onClose}>
      <ProblemNote problem={problem} retry={reload} />
      {answer ? <Evidence of={answer} /> : <p class="empty">Asking both servers…</p>}
    </Dialog>
  );
}

function Evidence({ of: { verdict, redis, database, damage, command } }: { of: PartitionEvidence }) {
  const names = [...new Set([...Object.keys(redis ?? {}), ...Object.keys(database ?? {})])];
  const shown = (side: Readonly<Record<string, string>> | null, name: string) =>
    side?.[name] === undefined ? '–' : grouped(side[name]);
  return (
    <>
      <Facts
        of={[
          ['Verdict', <code>{verdict}</code>],
          [
            'Damage',
            damage && `${damage.isExact ? '' : 'at most '}${many(damage.updates, 'update')} ${damage.kind}`,
          ],
        ]}
      />
      <Table
        caption="Both sides"
        rows={names}
        rowKey={name => name}
        empty="Neither side knows anything of it."
        columns={[
          { head: 'What', cell: name => name },
          { head: 'Redis', cell: name => shown(redis, name), isNumber: true },
          { head: 'MySQL', cell: name => shown(database, name), isNumber: true },
        ]}
      />
      {command !== null && (
        <>
          <p>In a terminal:</p>
          <pre>{command}</pre>
        </>
      )}
    </>
  );
}
