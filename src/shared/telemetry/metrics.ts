/**
 * Makes metrics of the catalogue on a registry. If the registry has the metric already, that one is returned:
 * a worker and producers of one process may share a registry.
 */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { packageVersion } from '../config/version.ts';
import {
  type LabelOf,
  type MetricDefinition,
  type MetricName,
  type MetricNameOf,
  metricCatalogue,
} from './metric-catalogue.ts';
import { Tally } from './tally.ts';
import { WeightedHistogram } from './weighted-histogram.ts';

type Collect<Metric> = (metric: Metric) => void | Promise<void>;

/** @param collect called at each scrape */
export function counter<Name extends MetricNameOf<'counter'>>(
  registry: Registry,
  name: Name,
  collect?: Collect<Counter<LabelOf<Name>>>,
): Counter<LabelOf<Name>> {
  const found = existing<Counter<LabelOf<Name>>>(registry, name);
  if (found) return found;
  const made = new Counter<LabelOf<Name>>({ ...options(registry, name), ...collected(collect) });
  for (const labels of knownLabels(name)) made.inc(labels as never, 0);
  return made;
}

/** @param collect called at each scrape */
export function gauge<Name extends MetricNameOf<'gauge'>>(
  registry: Registry,
  name: Name,
  collect?: Collect<Gauge<LabelOf<Name>>>,
): Gauge<LabelOf<Name>> {
  const found = existing<Gauge<LabelOf<Name>>>(registry, name);
  if (found) return found;
  return new Gauge<LabelOf<Name>>({ ...options(registry, name), ...collected(collect) });
}

export function histogram(registry: Registry, name: MetricNameOf<'histogram'>): Histogram {
  const { buckets } = metricCatalogue[name];
  return (
    existing<Histogram>(registry, name) ??
    new Histogram({ ...options(registry, name), buckets: [...buckets] })
  );
}

/** A histogram for many equal observations at once. */
export function weightedHistogram(registry: Registry, name: MetricNameOf<'histogram'>): WeightedHistogram {
  const found = existing<WeightedHistogram>(registry, name);
  if (found) return found;
  const { help, buckets } = metricCatalogue[name];
  const made = new WeightedHistogram(name, help, buckets);
  registry.registerMetric(made.asMetric());
  return made;
}

/** A counter for events that are too frequent for prom-client's. */
export function tally<Name extends MetricNameOf<'counter'>>(
  registry: Registry,
  name: Name,
): Tally<LabelOf<Name>> {
  const found = existing<Tally<LabelOf<Name>>>(registry, name);
  if (found) return found;
  const made = new Tally<LabelOf<Name>>(name, metricCatalogue[name].help);
  for (const labels of knownLabels(name)) made.cell(labels as never);
  registry.registerMetric(made.asMetric());
  return made;
}

export function declareBuild(registry: Registry, component: 'worker' | 'producer'): void {
  gauge(registry, 'sluice_build_info').set({ component, version: packageVersion() }, 1);
}

/** Every combination of label values; none if the values of a label are not known. */
function knownLabels(name: MetricName): Record<string, string>[] {
  const { labels = {} }: MetricDefinition = metricCatalogue[name];
  let combinations: Record<string, string>[] = [{}];
  for (const [label, values] of Object.entries(labels)) {
    if (typeof values === 'string') return [];
    combinations = combinations.flatMap(one => values.map(value => ({ ...one, [label]: value })));
  }
  return combinations;
}

function options<Name extends MetricName>(registry: Registry, name: Name) {
  const { help, labels = {} }: MetricDefinition = metricCatalogue[name];
  return { name, help, labelNames: Object.keys(labels) as LabelOf<Name>[], registers: [registry] };
}

/** Only this file makes metrics of these names, so the type is known. */
function existing<Made>(registry: Registry, name: MetricName): Made | undefined {
  return registry.getSingleMetric(name) as unknown as Made | undefined;
}

function collected<Metric>(collect: Collect<Metric> | undefined) {
  if (!collect) return {};
  return {
    collect(this: Metric) {
      return collect(this);
    },
  };
}
