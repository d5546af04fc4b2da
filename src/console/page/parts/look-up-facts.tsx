/** What else is known of a key: where it is, how long it stays live, what its account holds. */
import type { LookUp } from '../../answers.ts';
import { address } from '../address.ts';
import { duration, grouped } from '../digits.ts';
import { Facts } from './facts.tsx';
import { Table } from './table.tsx';
import { When } from './when.tsx';

export function LookUpFacts({ of: { partition, ttlSeconds, held } }: { of: LookUp }) {
  return (
    <Facts
      of={[
        ['Partition', <a href="/partitions?sort=partition">{partition}</a>],
        ['Stays live', ttlSeconds ? `unused for ${range(ttlSeconds)}` : 'it is cold'],
        ...(held ? [['Held points', heldText(held)] as const] : []),
      ]}
    />
  );
}

function range({ from, to }: NonNullable<LookUp['ttlSeconds']>): string {
  const [first, last] = [duration(from), duration(to)];
  return first === last ? first : `${first} to ${last}`;
}

function heldText({ live, expected }: NonNullable<LookUp['held']>): string {
  if (expected === null) return 'not known now';
  if (live === null || live === expected) return grouped(expected);
  return `${grouped(live)} live, but the open holds keep ${grouped(expected)}`;
}

export function OpenHolds({ of: { openHolds, moreHolds, name, key } }: { of: LookUp }) {
  if (openHolds.length === 0) return null;
  return (
    <section>
      <h2>Open holds</h2>
      <Table
        caption="Open holds"
        rows={openHolds}
        rowKey={({ id }) => id}
        empty=""
        columns={[
          { head: 'Id', cell: ({ id }) => <a href={address('/trace', { name, key, id })}>{id}</a> },
          { head: 'Points', cell: ({ amount }) => grouped(amount), isNumber: true },
          { head: 'Since', cell: ({ createdAt }) => <When at={createdAt} /> },
          { head: 'Ends by itself', cell: ({ expiresAt }) => <When at={expiresAt} ago={false} /> },
        ]}
      />
      {moreHolds && <p class="note">There are more.</p>}
    </section>
  );
}
