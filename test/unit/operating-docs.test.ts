// The documents, deploy/prometheus and the dashboards agree with each other and with the metric catalogue.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import {
  dashboardFile,
  dashboards,
  dashboardText,
  expressions,
  shopDashboards,
} from '../../deploy/grafana/dashboards.ts';
import { metricsFile, metricsPage } from '../../scripts/generate.ts';
import { type MetricDefinition, metricCatalogue } from '../../src/shared/telemetry/metric-catalogue.ts';
import { promtool, promtoolBinary } from '../support/prometheus.ts';

const folder = new URL('../../deploy/prometheus/', import.meta.url);
const read = (name: string) => readFileSync(new URL(name, folder), 'utf8');
const operatingFile = new URL('../../docs/operating.md', import.meta.url);
const page = readFileSync(operatingFile, 'utf8');
const alertsOf = (name: string) =>
  read(name)
    .split('- alert: ')
    .slice(1)
    .map(text => ({ name: /^\w+/.exec(text)![0], text }));
const alerts = alertsOf('alerts.yml');

it('docs/metrics.md has every metric as the code has it', () => {
  const metrics = readFileSync(metricsFile, 'utf8');
  expect(metrics).toBe(metricsPage(metrics));
  for (const name of Object.keys(metricCatalogue)) expect(metrics).toContain(`| \`${name}\` |`);
});

it('docs/operating.md has a runbook for each alert, and no other', () => {
  const section = /\n## Alerts\n([\s\S]*?)\n## /.exec(page)![1]!;
  const runbooks = [...section.matchAll(/^### (\w+)$/gm)].map(([, name]) => name!);
  expect(runbooks).toEqual(alerts.map(({ name }) => name));
  for (const { name, text } of alerts) {
    expect(text).toContain(`runbook_url: docs/operating.md#${name.toLowerCase()}\n`);
    expect(text).toMatch(/severity: (page|ticket) /);
  }
});

it("the alerts' tests show each alert firing and quiet", () => {
  for (const file of ['alerts.yml', 'shop-alerts.yml']) {
    const tests = read(`tests/${file}`).split('  - name: ').slice(1);
    for (const { name } of alertsOf(file)) {
      const own = tests.filter(text => text.includes(`alertname: ${name}\n`));
      expect(own.filter(text => text.includes('exp_labels')).length, `${name} fires`).toBeGreaterThan(0);
      expect(own.filter(text => text.includes('exp_alerts: []')).length, `${name} is quiet`).toBeGreaterThan(
        0,
      );
    }
  }
});

it('alerts and rules use only existing metrics', () => {
  const known = new Set(
    Object.entries<MetricDefinition>(metricCatalogue).flatMap(([name, { type }]) =>
      type === 'histogram' ? ['_bucket', '_sum', '_count'].map(end => name + end) : [name],
    ),
  );
  const text = read('alerts.yml') + read('recording.yml');
  const recorded = new Set([...text.matchAll(/record: (\S+)/g)].map(([, name]) => name));
  for (const [, expression] of text.matchAll(/expr: (.*)/g)) {
    for (const [name] of expression!.matchAll(/sluice_\w+/g)) expect(known).toContain(name);
    for (const [name] of expression!.matchAll(/sluice:\w+:\w+/g)) expect(recorded).toContain(name);
  }
});

it.skipIf(!promtoolBinary)('configuration, rules and their tests pass promtool', async () => {
  const file = (name: string) => fileURLToPath(new URL(name, folder));
  for (const args of [
    ['check', 'config', file('prometheus.yml')],
    ['check', 'rules', file('alerts.yml'), file('recording.yml'), file('shop-alerts.yml')],
    ['test', 'rules', file('tests/alerts.yml'), file('tests/shop-alerts.yml')],
  ]) {
    const { ok, said } = await promtool(args);
    expect(ok, said).toBe(true);
  }
});

it('every link of docs/operating.md leads to an existing section', () => {
  const anchorsOf = (text: string) =>
    [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
      title!
        .toLowerCase()
        .replace(/[^\w\s-]/g, '')
        .replaceAll(' ', '-'),
    );
  for (const [, target, anchor] of page.matchAll(/\]\(([^)#]*)(?:#([^)]*))?\)/g)) {
    const text = target ? readFileSync(new URL(target, operatingFile), 'utf8') : page;
    if (anchor) expect(anchorsOf(text), `${target}#${anchor}`).toContain(anchor);
  }
});

it('the published dashboards are those of the code', () => {
  for (const [name, dashboard] of Object.entries({ ...dashboards, ...shopDashboards }))
    expect(readFileSync(dashboardFile(name), 'utf8')).toBe(dashboardText(dashboard));
});

it('a panel shows each metric, a global one as a maximum, a counter of processes as a sum', () => {
  const all = Object.values(dashboards).flatMap(expressions);
  for (const [name, { scope, type }] of Object.entries<MetricDefinition>(metricCatalogue)) {
    const own = all.filter(({ expression }) =>
      new RegExp(`\\b${name}(_bucket|_sum|_count)?\\b`).test(expression),
    );
    expect(own.length, `${name} is shown nowhere`).toBeGreaterThan(0);
    for (const { panel, expression } of own) {
      if (scope === 'global')
        expect(expression, panel).toMatch(new RegExp(`max(?: by \\([\\w, ]+\\) )?\\((?:rate\\()?${name}`));
      if (type === 'counter' && scope === 'process') expect(expression, panel).toContain('sum');
    }
  }
});
