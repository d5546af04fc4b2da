/** The figures of docs/memory.md: what is measured, and the text of the page. */

export const pageFile = new URL('../docs/memory.md', import.meta.url);

/** Sizes of the measurement; lengths in bytes. */
export const sizes = {
  count: 100_000,
  key: 20,
  account: 16,
  id: 12,
  entriesPerAccount: 100,
} as const;

const columns = {
  counterKey: 'pending counter key',
  entry: 'pending entry',
  counterId: 'counter id',
  entryId: 'id of an entry in MySQL',
  liveValue: 'live value',
  hold: 'pending hold',
  heldRecord: 'live record of a hold',
  member: 'member of a board',
} as const;

/** Bytes each, on one server. */
export type Figures = Readonly<Record<keyof typeof columns, number>> & {
  /** Name and version. */
  readonly server: string;
};

/** Promised upper bounds in bytes, for keys of the measured length. */
export const promised = { counterKey: 150, entry: 400 } satisfies Partial<Figures>;

const bounds: Partial<Figures> = promised;
const names = Object.keys(columns) as (keyof typeof columns)[];
const section = /(<!-- figures -->\n).*(<!-- end -->)/s;

/** The page with these figures. */
export function memoryPage(page: string, figures: readonly Figures[], partitions: number): string {
  const { count, key, account, id, entriesPerAccount } = sizes;
  const lines = [
    `By the growth of \`used_memory\` over ${count.toLocaleString('en-US')} of each, in ${partitions} partitions: keys of ${key} bytes, accounts of ${account}, ids of`,
    `${id}, entries without reason and metadata, ${entriesPerAccount} for each account.`,
    '',
    line(['server', ...Object.values(columns)]),
    line(['---', ...names.map(() => '---')]),
    ...figures.map(one => line([one.server, ...names.map(name => Math.round(one[name]))])),
    line(['promised, at most', ...names.map(name => bounds[name] ?? '')]),
  ];
  return page.replace(section, (_, start, end) => `${start}${lines.join('\n')}\n${end}`);
}

/** The figures in a page. */
export function figuresOf(page: string): Figures[] {
  const rows = [...page.matchAll(/^\| (\w+ [\d.]+) \| (.*) \|$/gm)];
  return rows.map(([, server, cells]) => {
    const numbers = cells!.split(' | ').map(Number);
    return {
      server: server!,
      ...Object.fromEntries(names.map((name, at) => [name, numbers[at]])),
    } as Figures;
  });
}

function line(cells: readonly (string | number)[]): string {
  return `| ${cells.join(' | ')} |`;
}
