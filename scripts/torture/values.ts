/** What MySQL must hold of values of which one put is kept, from the journals of those who put them. */
import { type JournalledUpdate, knownOf } from './journal.ts';
import { definitions } from './traffic.ts';

/** What is wrong with a key. */
export interface WrongValue {
  readonly key: string;
  /** `lost`: an acknowledged put is missing; `doubled`: a put counts that must not. */
  readonly kind: 'lost' | 'doubled';
  readonly what: string;
}

/**
 * The greatest or least value is at least as good as the best acknowledged put. The last value is not older than the
 * last acknowledged one, unless nobody knows when it was put: it was sent again, or had no answer. Each is the
 * number of a put that was not refused.
 * @param puts in the order of the journals; a key of a last value has a single writer
 * @param values by `name key`, with those in quarantine
 */
export function wrongValues(
  puts: Iterable<JournalledUpdate>,
  values: ReadonlyMap<string, number>,
): WrongValue[] {
  const byItem = Map.groupBy(puts, ({ name, key }) => `${name} ${key}`);
  const items = new Set([...byItem.keys(), ...values.keys()]);
  return [...items].flatMap(item => {
    const wrong = wrongOf(item, byItem.get(item) ?? [], values.get(item));
    return wrong ? [{ key: item.slice(item.indexOf(' ') + 1), ...wrong }] : [];
  });
}

function wrongOf(item: string, puts: readonly JournalledUpdate[], value: number | undefined) {
  const acknowledged = puts.filter(put => knownOf(put) === 'acknowledged');
  const lost = (what: string) => ({ kind: 'lost', what: `value ${item}: ${what}` }) as const;
  if (value === undefined)
    return acknowledged.length > 0
      ? lost(`${acknowledged.length} puts, and nothing in the database`)
      : undefined;
  const same = puts.filter(put => put.amount === value && knownOf(put) !== 'refused');
  if (same.length === 0) {
    const story = puts.some(put => put.amount === value) ? 'was refused' : 'nobody put';
    return { kind: 'doubled', what: `value ${item}: the database has ${value}, which ${story}` } as const;
  }
  if (acknowledged.length === 0) return undefined;
  const { keep } = definitions.values[item.slice(0, item.indexOf(' ')) as keyof typeof definitions.values];
  if (keep === 'last') {
    const last = acknowledged.at(-1)!;
    const isRight = same.some(
      put => put.repeated || put.uncertain || puts.indexOf(put) >= puts.indexOf(last),
    );
    return isRight
      ? undefined
      : lost(`${last.amount} was acknowledged later than ${value}, which the database has`);
  }
  const amounts = acknowledged.map(put => put.amount);
  const best = keep === 'max' ? Math.max(...amounts) : Math.min(...amounts);
  const isRight = keep === 'max' ? value >= best : value <= best;
  return isRight ? undefined : lost(`${best} was acknowledged, the database has ${value}`);
}
