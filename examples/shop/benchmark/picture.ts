/** The results as a picture of bars, readable on light and on dark pages. */
export interface Chart {
  readonly title: string;
  /** Text behind each bar, since bars of very different lengths say little alone. */
  readonly bars: readonly {
    readonly name: string;
    readonly value: number;
    readonly text: string;
    readonly ours: boolean;
  }[];
}

const [WIDTH, NAMES, BAR, ROW, TITLE] = [760, 250, 300, 26, 44] as const;
/** A gray and a blue with a contrast of at least 3 to white and to black. */
const STYLE = `text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600;font-size:14px}
.other{fill:#7d8590}.ours{fill:#2f81f7}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}}`;

const escaped = (text: string) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

export function pictureOf(charts: readonly Chart[]): string {
  let y = 0;
  const parts: string[] = [];
  for (const { title, bars } of charts) {
    parts.push(`<text class="title" x="0" y="${y + 26}">${escaped(title)}</text>`);
    y += TITLE;
    const longest = Math.max(...bars.map(({ value }) => value));
    for (const { name, value, text, ours } of bars) {
      const width = Math.max(1, (BAR * value) / longest).toFixed(1);
      parts.push(
        `<text x="${NAMES - 10}" y="${y + 14}" text-anchor="end">${escaped(name)}</text>`,
        `<rect class="${ours ? 'ours' : 'other'}" x="${NAMES}" y="${y}" width="${width}" height="18" rx="2"/>`,
        `<text x="${NAMES + Number(width) + 8}" y="${y + 14}">${escaped(text)}</text>`,
      );
      y += ROW;
    }
  }
  const description = charts.map(({ title }) => title).join('; ');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 4}" role="img" aria-label="${escaped(description)}">
<style>${STYLE}</style>
${parts.join('\n')}
</svg>
`;
}
