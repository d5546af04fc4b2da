/** Dashboards by file name; `npm run generate` writes them to dashboards/. */
import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import { flush } from './flush.ts';
import { overview } from './overview.ts';
import { partitions } from './partitions.ts';
import { producers } from './producers.ts';
import { shop } from './shop.ts';

export const dashboards: Readonly<Record<string, Dashboard>> = { overview, partitions, producers, flush };
/** For the example shop, which alone has these metrics. */
export const shopDashboards: Readonly<Record<string, Dashboard>> = { shop };

export const dashboardFile = (name: string) => new URL(`./dashboards/${name}.json`, import.meta.url);
export const dashboardText = (dashboard: Dashboard) => `${JSON.stringify(dashboard, null, 2)}\n`;

/** The expressions of all panels. */
export function expressions(dashboard: Dashboard): { panel: string; expression: string }[] {
  return (dashboard.panels ?? []).flatMap(panel =>
    ('targets' in panel ? (panel.targets ?? []) : []).map(target => ({
      panel: `${dashboard.title} / ${panel.title}`,
      expression: (target as { expr?: string }).expr ?? '',
    })),
  );
}
