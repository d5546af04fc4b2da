/** Builds dashboards from uniform panels, each with a description of what it shows. */
import { ReduceDataOptionsBuilder } from '@grafana/grafana-foundation-sdk/common';
import {
  type Dashboard,
  DashboardBuilder,
  type Panel,
  RowBuilder,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TextBuilder, TextMode } from '@grafana/grafana-foundation-sdk/text';
import { PanelBuilder as SeriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';

interface PanelMaker {
  build(): Panel;
}

/** An expression and the legend of its series. */
export type Query = readonly [expression: string, legend: string];

const SOURCE = { type: 'prometheus', uid: 'prometheus' };
const RATE = '[$__rate_interval]';

/** Rate of a `process` metric, summed over the processes. */
export const rate = (metric: string, by = '') => `sum${by && ` by (${by})`} (rate(${metric}${RATE}))`;
/** Value of a `global` metric, which every worker reports alike. */
export const once = (metric: string, by: string) => `max by (${by}) (${metric})`;
/** Sum of a `global` metric over all partitions. */
export const all = (metric: string) => `sum(${once(metric, 'partition')})`;
export const quantile = (share: number, metric: string) =>
  `histogram_quantile(${share}, ${rate(`${metric}_bucket`, 'le')})`;
export const mean = (metric: string) => `${rate(`${metric}_sum`)} / ${rate(`${metric}_count`)}`;

export function series(
  title: string,
  description: string,
  unit: string,
  queries: readonly Query[],
): PanelMaker {
  const panel = new SeriesBuilder()
    .title(title)
    .description(description)
    .unit(unit)
    .min(0)
    .height(8)
    .span(8)
    .fillOpacity(8)
    .datasource(SOURCE);
  return withQueries(panel, queries);
}

/** A panel with the latest value in large digits. */
export function stat(title: string, description: string, unit: string, query: Query): PanelMaker {
  const panel = new StatBuilder()
    .title(title)
    .description(description)
    .unit(unit)
    .height(4)
    .span(4)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']))
    .datasource(SOURCE);
  return withQueries(panel, [query]);
}

export function note(title: string, content: string): PanelMaker {
  return new TextBuilder().title(title).mode(TextMode.Markdown).content(content).height(8).span(8);
}

interface QueryPanel extends PanelMaker {
  withTarget(target: DataqueryBuilder): unknown;
}

function withQueries(panel: QueryPanel, queries: readonly Query[]): PanelMaker {
  for (const [at, [expression, legend]] of queries.entries()) {
    const refId = String.fromCharCode('A'.charCodeAt(0) + at);
    panel.withTarget(new DataqueryBuilder().refId(refId).expr(expression).legendFormat(legend).range());
  }
  return panel;
}

export type Row = readonly [title: string, panels: readonly PanelMaker[]];

export function dashboard(name: string, title: string, description: string, rows: readonly Row[]): Dashboard {
  const built = new DashboardBuilder(`Sluice: ${title}`)
    .uid(`sluice-${name}`)
    .description(description)
    .tags(['sluice'])
    .timezone('browser')
    .time({ from: 'now-1h', to: 'now' })
    .refresh('15s')
    .readonly();
  for (const [rowTitle, panels] of rows) {
    built.withRow(new RowBuilder(rowTitle));
    for (const panel of panels) built.withPanel(panel);
  }
  return built.build();
}
