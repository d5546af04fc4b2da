// Pictures for docs/console.md and README.md: a night on which the workers died. Only if TEST_PICTURES=1 asks for them,
// since a minute of traffic must pass for the charts.

import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { describe, expect, it, vi } from 'vitest';
import { chromiumPath, startBrowser } from '../support/browser.ts';
import { logIn, openContext, openShown } from '../support/console-page.ts';
import { until } from '../support/engine.ts';
import { addToLive } from '../support/live.ts';

vi.setConfig({ testTimeout: 600_000 });

const folder = fileURLToPath(new URL('../../docs/images/', import.meta.url));
/** Samples of which the charts are made. */
const SAMPLES = 12;

const take = (page: Page, name: string) => page.screenshot({ path: `${folder}console-${name}.png` });

describe.skipIf(!chromiumPath || process.env.TEST_PICTURES !== '1')('a night', () => {
  it('is shown in the documents', async () => {
    const shown = await openShown(['operator']);
    const worker = await shown.worker();
    await shown.refuse(120);
    await shown.addAccounts(110);
    const { base } = await shown.console();
    const { context } = await openContext(await startBrowser(), { colorScheme: 'light' });
    const page = await logIn(context, base, 'operator');
    const traffic = async (tag: string) => {
      const lines = Array.from({ length: 400 }, (_, n) => ({
        counter: 'clicks',
        key: `/page/${n % 50}`,
        by: 1,
      }));
      const bought = { points: 'loyalty', account: 'a7', amount: 25, id: `order-${tag}`, reason: 'purchase' };
      await shown.ingest([...lines, bought]);
    };
    const samples = () =>
      page.evaluate<number>("fetch('/api/history').then(r => r.json()).then(past => past.times.length)");
    for (let n = 0; (await samples()) < SAMPLES; n++) await traffic(String(n));
    worker.child.kill('SIGKILL');
    await page.locator('[data-verdict="bad"]').waitFor({ timeout: 120_000 });
    for (let n = 0; n < 5; n++) await traffic(`later-${n}`);
    await take(page, 'overview-light');
    await page.setViewportSize({ width: 360, height: 740 });
    await take(page, 'overview-phone');
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.goto(`${base}/quarantine`);
    await page.getByRole('button', { name: 'Replay all…' }).click();
    await page.getByLabel('Type 120 to confirm').waitFor();
    await take(page, 'dry-run-light');
    await page.emulateMedia({ colorScheme: 'dark' });
    await shown.read('clicks', '/page/7');
    await addToLive(shown, 'c', 'clicks:/page/7', 5);
    await page.goto(`${base}/look-up?of=counter:clicks&key=%2Fpage%2F7`);
    await page.getByText('a drift of +5').waitFor();
    await take(page, 'look-up-dark');
    await until(async () => (await shown.quarantined()) === 120, 'nothing to be changed');
    expect(page.url()).toContain(base);
  });
});
