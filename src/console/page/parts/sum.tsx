/** The sum of a key: what MySQL has, what is on its way, what the live value must be, and what it is. */
import type { LookUp } from '../../answers.ts';
import { address } from '../address.ts';
import { counted, grouped, many, signed } from '../digits.ts';
import { Chip } from './mark.tsx';

export function Sum({ of }: { of: LookUp }) {
  const { mysql, quarantine, inFlight, pending } = of.parts;
  const keeps = of.kind === 'value';
  const filter = { name: of.name, key: of.key };
  return (
    <table class="sum">
      <caption class="unseen">What the live value is made of</caption>
      <tbody>
        <Part name="MySQL" amount={mysql} note={of.target ?? 'a table of Sluice'} />
        <Part
          name={<a href={address('/quarantine', filter)}>Quarantine</a>}
          amount={quarantine.amount}
          note={`${counted(quarantine.updates)} update${quarantine.updates.count === 1 ? '' : 's'}`}
        />
        <Part name="In flight" amount={inFlight.amount} note={many(inFlight.updates, 'update')} />
        <Part name="Pending" amount={pending.amount} note={many(pending.updates, 'update')} />
      </tbody>
      <tfoot>
        <Part
          name={keeps ? 'Kept of these' : 'Sum'}
          amount={of.expected}
          note="what the live value must be"
        />
        <Part
          name="Live in Redis"
          amount={of.live.value}
          note={of.live.state === 'cold' ? 'cold: the next read loads it from MySQL' : 'what reads answer'}
        />
        <tr>
          <th scope="row">Adds up?</th>
          <td colSpan={2}>
            <Judgement of={of} />
          </td>
        </tr>
      </tfoot>
    </table>
  );
}

function Part({
  name,
  amount,
  note,
}: {
  name: preact.ComponentChildren;
  amount: string | null;
  note: string;
}) {
  return (
    <tr>
      <th scope="row">{name}</th>
      <td class="number">{amount === null ? '–' : grouped(amount)}</td>
      <td class="quiet">{note}</td>
    </tr>
  );
}

function Judgement({ of: { live, drift, settled, unsettledWhy, expected, held } }: { of: LookUp }) {
  if (!settled)
    return (
      <Chip level="unknown">{`not known now: ${unsettledWhy ?? 'flushes came between the reads'}`}</Chip>
    );
  if (live.state === 'cold') return <Chip level="well">nothing is live, so nothing can be wrong</Chip>;
  if (drift === null && live.value === expected) return <Chip level="well">yes</Chip>;
  if (drift === null) return <Chip level="bad">no, they differ</Chip>;
  const wrong = drift === '0' ? [] : [`a drift of ${signed(drift)}`];
  // Both are in one live value, so a right balance with wrong held points is a wrong live value.
  if (held !== null && held.live !== held.expected)
    wrong.push(`${grouped(held.live ?? '0')} held instead of ${grouped(held.expected ?? '0')}`);
  if (wrong.length === 0) return <Chip level="well">yes, exactly</Chip>;
  return <Chip level="bad">{`no, ${wrong.join(', and ')}`}</Chip>;
}
