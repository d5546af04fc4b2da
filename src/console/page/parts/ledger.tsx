/** The ledger of an account, page by page, the newest first. */
import type { Ledger, LedgerEntry } from '../../answers.ts';
import { address, query } from '../address.ts';
import { useAsked } from '../asked.ts';
import { grouped, signed } from '../digits.ts';
import { JsonText } from './facts.tsx';
import { Pager } from './pager.tsx';
import { ProblemNote } from './problem.tsx';
import { Table } from './table.tsx';
import { When } from './when.tsx';

export function LedgerList({ name, account }: { name: string; account: string }) {
  const before = query.value.get('before');
  const asked = useAsked<Ledger>(address('/api/look-up/ledger', { name, key: account, before }), 5000);
  const { answer, problem, reload } = asked;
  return (
    <section>
      <h2>Ledger</h2>
      <ProblemNote problem={problem} retry={reload} />
      {answer && (
        <Table
          caption="Ledger"
          rows={answer.entries}
          rowKey={({ id }) => id}
          empty="No entry is in the ledger or on its way."
          columns={[
            { head: 'Time', cell: ({ createdAt }) => <When at={createdAt} /> },
            { head: 'Points', cell: ({ amount }) => signed(amount), isNumber: true },
            {
              head: 'Balance after',
              cell: ({ balanceAfter }) => (balanceAfter === null ? '–' : grouped(balanceAfter)),
              isNumber: true,
            },
            {
              head: 'Id',
              cell: ({ id }) => <a href={address('/trace', { name, key: account, id })}>{id}</a>,
            },
            { head: 'What', cell: entry => <What of={entry} name={name} /> },
            { head: 'In MySQL', cell: ({ persisted }) => (persisted ? 'yes' : 'not yet') },
          ]}
        />
      )}
      {answer && <Pager name="before" next={answer.next} label="Pages of the ledger" />}
    </section>
  );
}

function What({
  of: { reason, metadata, transfer, otherAccount, hold },
  name,
}: {
  of: LedgerEntry;
  name: string;
}) {
  return (
    <>
      {reason}
      {transfer !== null && (
        <span>
          {' '}
          transfer <code>{transfer}</code>
        </span>
      )}
      {otherAccount !== null && (
        <span>
          {' '}
          with <a href={address('/look-up', { of: `points:${name}`, key: otherAccount })}>{otherAccount}</a>
        </span>
      )}
      {hold !== null && (
        <span>
          {' '}
          hold <code>{hold}</code>
        </span>
      )}
      {metadata !== null && (
        <details>
          <summary>metadata</summary>
          <JsonText text={metadata} />
        </details>
      )}
    </>
  );
}
