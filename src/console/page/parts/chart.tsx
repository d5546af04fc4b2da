/** A chart of the last hour, with its table behind it. */
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { dateAndTime, timeOfDay, zone, zoneName } from '../clock.ts';
import { theme } from '../theme.ts';

interface Line {
  readonly name: string;
  readonly values: readonly (number | null)[];
}

interface Shown {
  readonly title: string;
  /** Seconds since 1970. */
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
  /** Distances between the lines of the scale that read well; by default those of decimal numbers. */
  readonly steps?: readonly number[];
}

const HEIGHT = 148;
/** Lines of the time axis that are nearer than this, s, need their seconds. */
const MINUTES = 60;

export function Chart(shown: Shown) {
  const { title, lines } = shown;
  const isTable = useSignal(false);
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        <span class="legend">
          {lines.length > 1 &&
            lines.map(({ name }, at) => (
              <span key={name} class={`legend-${at}`}>
                {name}
              </span>
            ))}
        </span>
        <button
          type="button"
          class="plain"
          aria-expanded={isTable.value}
          onClick={() => {
            isTable.value = !isTable.value;
          }}
        >
          {isTable.value ? 'Chart' : 'Table'}
          <span class="unseen"> of {title}</span>
        </button>
      </figcaption>
      {isTable.value ? <ChartTable {...shown} /> : <Drawing {...shown} />}
    </figure>
  );
}

function Drawing(shown: Shown) {
  const { title, times, lines, format } = shown;
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const data = [times, ...lines.map(({ values }) => values)] as unknown as uPlot.AlignedData;
  const names = lines.map(({ name }) => name).join();

  // A canvas has no custom properties: another theme or zone draws everything anew.
  useEffect(() => {
    const element = place.current!;
    const drawn = new uPlot(optionsOf(element, shown), data, element);
    plot.current = drawn;
    const resize = new ResizeObserver(() => drawn.setSize({ width: element.clientWidth, height: HEIGHT }));
    resize.observe(element);
    return () => {
      resize.disconnect();
      drawn.destroy();
      plot.current = null;
    };
  }, [names, theme.value, zone.value]);
  useEffect(() => plot.current?.setData(data), [times]);

  return <div class="drawing" ref={place} role="img" aria-label={`${title}: ${summary(lines, format)}`} />;
}

function optionsOf(element: HTMLElement, { lines, format, steps }: Shown): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour('--quiet'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
    font: `11px ${style.fontFamily}`,
  };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    scales: { y: { range: (_, _least, most) => [0, most > 0 ? most * 1.1 : 1] } },
    axes: [
      {
        ...axis,
        space: 70,
        size: 24,
        values: (_, times, __, ___, seconds) =>
          times.map(time => timeOfDay(time * 1000).slice(0, seconds < MINUTES ? 8 : 5)),
      },
      {
        ...axis,
        space: 32,
        size: 62,
        ...(steps && { incrs: [...steps] }),
        values: (_, values) => values.map(value => format(value)),
      },
    ],
    series: [
      {},
      ...lines.map(({ name }, at) => ({
        label: name,
        stroke: colour(`--series-${at}`),
        width: 1.5,
        ...(at === 1 && { dash: [5, 3] }),
        points: { show: false },
      })),
    ],
  };
}

/** What the lines say, in words. */
function summary(lines: readonly Line[], format: (value: number) => string): string {
  return lines
    .map(({ name, values }) => {
      const known = values.filter(value => value !== null);
      if (known.length === 0) return `${name} is not known`;
      const most = known.reduce((a, b) => Math.max(a, b));
      return `${name} is ${format(known.at(-1)!)} now, ${format(most)} at most`;
    })
    .join('; ');
}

/** One row a minute, the latest first. */
function ChartTable({ title, times, lines, format }: Shown) {
  const rows = times.map((time, at) => ({ time, at })).filter(({ time }, at) => isMinute(times, time, at));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
    <section class="scroll chart-table" tabIndex={0} aria-label={title}>
      <table>
        <thead>
          <tr>
            <th scope="col">Time, {zoneName.value}</th>
            {lines.map(({ name }) => (
              <th key={name} scope="col" class="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.toReversed().map(({ time, at }) => (
            <tr key={time}>
              <td>{dateAndTime(time * 1000)}</td>
              {lines.map(({ name, values }) => (
                <td key={name} class="number">
                  {values[at] === null || values[at] === undefined ? '?' : format(values[at])}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function isMinute(times: readonly number[], time: number, at: number): boolean {
  return at === times.length - 1 || Math.floor(time / 60) !== Math.floor(times[at + 1]! / 60);
}
