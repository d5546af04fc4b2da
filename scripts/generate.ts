// Writes the files that follow from the code: config.schema.json, the tables of docs/configuration.md and
// docs/metrics.md, docs/redis-layout.md, docs/openapi.json, the examples of docs/capacity.md, the recoveries in
// docs/guarantees.md, Grafana's dashboards. Unit tests compare them with the code. If one fails, run
// `npm run generate` again; it writes the benchmarks' results too (bench/generate.ts).

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { dashboardFile, dashboards, dashboardText, shopDashboards } from '../deploy/grafana/dashboards.ts';
import { parseLoad } from '../src/cli/plan-load.ts';
import { measured, type Source } from '../src/cli/plan-measured.ts';
import { planFor } from '../src/cli/plan-model.ts';
import { planText } from '../src/cli/plan-report.ts';
import { documentText } from '../src/http/document.ts';
import { routes } from '../src/http/routes.ts';
import { variables } from '../src/shared/config/config.ts';
import { definitionsSchema } from '../src/shared/config/definitions.ts';
import {
  environmentName,
  parseSettings,
  settingNames,
  settingsCatalogue,
} from '../src/shared/config/settings.ts';
import { leftAlone } from '../src/shared/mysql/session-left-alone.ts';
import { sessionVariables, sqlOf } from '../src/shared/mysql/session-variables.ts';
import { formatFields, forms, partitionKeys, stateFields } from '../src/shared/redis/layout.ts';
import { type MetricDefinition, metricCatalogue } from '../src/shared/telemetry/metric-catalogue.ts';
import { filled } from './generated.ts';
import { guaranteesPage } from './torture/report.ts';

export const schemaFile = new URL('../config.schema.json', import.meta.url);
export const pageFile = new URL('../docs/configuration.md', import.meta.url);
export const metricsFile = new URL('../docs/metrics.md', import.meta.url);
export const capacityFile = new URL('../docs/capacity.md', import.meta.url);
export const layoutFile = new URL('../docs/redis-layout.md', import.meta.url);
const guaranteesFile = new URL('../docs/guarantees.md', import.meta.url);
export const openApiFile = new URL('../docs/openapi.json', import.meta.url);
const tortureFile = new URL('../docs/torture-report.md', import.meta.url);

/** The JSON Schema of sluice.config.json as users write it; settings with a default are optional. */
export function configSchema(): string {
  // A list that Sluice does not change is "readOnly" to zod. Here that would say that users may not write it.
  const override = ({ jsonSchema }: { jsonSchema: { readOnly?: boolean } }) => delete jsonSchema.readOnly;
  const schema = z.toJSONSchema(definitionsSchema, { io: 'input', override });
  const title = 'Definitions of Sluice: counters, points programs and values';
  return `${JSON.stringify({ title, ...schema }, null, 2)}\n`;
}

/** The page with tables from the current code. */
export function configurationPage(page: string): string {
  const environment = table(
    ['Variable', 'Default', 'What it is'],
    variables.map(({ name, default: preset, what }) => [code(name), preset && code(preset), what]),
  );
  const settings = table(
    ['Variable', 'In code', 'Default', 'From', 'To', 'Why this default'],
    settingNames.map(name => {
      const { default: preset, min, max, why } = settingsCatalogue[name];
      return [code(environmentName(name)), code(name), ...[preset, min, max].map(String), why];
    }),
  );
  const session = table(
    ['Variable', 'Value', 'Refused if another', 'Why'],
    sessionVariables.map(variable => [
      variable.names.map(code).join(' or '),
      variable.set === undefined ? 'as it is' : code(sqlOf(variable, parseSettings())),
      variable.must === undefined ? 'no' : 'yes',
      variable.why,
    ]),
  );
  const others = table(
    ['Left alone', 'Why it does no harm'],
    leftAlone.map(({ names, why }) => [names.map(code).join(', '), why]),
  );
  return Object.entries({ environment, settings, session, 'left-alone': others }).reduce(
    (text, [name, content]) => filled(text, name, content),
    page,
  );
}

/** The page with the table of metrics from the current code. */
export function metricsPage(page: string): string {
  const rows = Object.entries<MetricDefinition>(metricCatalogue).map(([name, metric]) => [
    code(name),
    metric.type,
    labelsOf(metric),
    `${metric.scope}, ${metric.from}`,
    metric.unit,
    metric.help + (metric.buckets ? ` Buckets: ${metric.buckets.join(', ')}.` : ''),
  ]);
  const head = ['Metric', 'Type', 'Labels', 'Scope, from', 'Unit', 'What it says'];
  return filled(page, 'metrics', table(head, rows));
}

/** The page with tables from the current layout. */
export function layoutPage(page: string): string {
  const list = (names: readonly string[]) => names.map(code).join(', ');
  const part = (name: string) => (name in forms ? name : `a ${name}`);
  const keys = Object.entries(partitionKeys).map(([name, key]) => {
    const { type, what, value, writers, lifetime } = key;
    const holds = 'field' in key ? `${part(key.field)}: ${part(value)}` : part(value);
    return [code(name), `${type} of ${holds}`, what, list(writers), lifetime];
  });
  const fields = Object.entries(stateFields).map(([name, field]) => {
    const type = 'form' in field ? field.form : field.type;
    return [code(name), type, field.what, list(field.writers), field.lifetime];
  });
  const tables = {
    keys: table(['Key', 'Type', 'What it is', 'Written by', 'Lifetime'], keys),
    fields: table(['Field', 'Type', 'What it is', 'Written by', 'Lifetime'], fields),
    forms: table(
      ['Name', 'Text', 'What it is'],
      Object.entries(forms).map(([name, { text, what }]) => [name, code(text), what]),
    ),
    format: table(
      ['Field', 'What it is'],
      Object.entries(formatFields).map(([name, what]) => [code(name), what]),
    ),
  };
  return Object.entries(tables).reduce((text, [name, content]) => filled(text, name, content), page);
}

/** The page with the current output of its examples, and the table of constants. */
export function capacityPage(page: string): string {
  const examples = /(```console\n\$ sluice plan ([^\n]*)\n).*?(```)/gs;
  const shown = page.replace(examples, (_, before: string, args: string, after: string) => {
    const options = [...args.matchAll(/--([a-z-]+) (\S+)/g)].map(([, name, value]) => [camel(name!), value!]);
    return `${before}${planText(planFor(parseLoad(Object.fromEntries(options))))}\n${after}`;
  });
  const rows = Object.entries(measured).map(([name, { value, from }]) => [
    code(name),
    value.toLocaleString('en-US'),
    sourceText(from),
  ]);
  return filled(shown, 'constants', table(['Constant', 'Value', 'From'], rows));
}

function camel(option: string): string {
  return option.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function sourceText(from: Source): string {
  if (from === 'assumed') return 'assumed, see its comment in the code';
  if ('memory' in from) return `[memory.md](memory.md), ${from.memory}`;
  const { scenario, figure, per, as } = from;
  return `bench ${code(scenario)}, ${code(figure)}${per ? ` by ${code(per)}` : ''}${as.startsWith('micro') ? `, as ${as}` : ''}`;
}

function labelsOf({ labels = {} }: MetricDefinition): string {
  return Object.entries(labels)
    .map(([label, values]) => `${code(label)}: ${typeof values === 'string' ? values : values.join(', ')}`)
    .join('; ');
}

function code(text: string): string {
  return text === 'required' ? text : `\`${text}\``;
}

function table(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(schemaFile, configSchema());
  writeFileSync(pageFile, configurationPage(readFileSync(pageFile, 'utf8')));
  writeFileSync(metricsFile, metricsPage(readFileSync(metricsFile, 'utf8')));
  writeFileSync(capacityFile, capacityPage(readFileSync(capacityFile, 'utf8')));
  writeFileSync(openApiFile, documentText(routes).text);
  writeFileSync(layoutFile, layoutPage(readFileSync(layoutFile, 'utf8')));
  const report = readFileSync(tortureFile, 'utf8');
  writeFileSync(guaranteesFile, guaranteesPage(readFileSync(guaranteesFile, 'utf8'), report));
  for (const [name, dashboard] of Object.entries({ ...dashboards, ...shopDashboards }))
    writeFileSync(dashboardFile(name), dashboardText(dashboard));
}
