// Every view in Chromium on real servers, full of texts that would be scripts: none runs, nothing breaks the policy,
// axe-core finds nothing in either theme, and nothing scrolls sideways on a phone.

import type { Browser } from 'playwright-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { accessibilityFindings, chromiumPath, startBrowser } from '../support/browser.ts';
import { logIn, openContext, openShown, SCRIPT, type ShownDeployment } from '../support/console-page.ts';
import { until } from '../support/engine.ts';
import { takePicture } from '../support/pictures.ts';

const PHONE = { width: 360, height: 740 };
const asQuery = (texts: Record<string, string>) => new URLSearchParams(texts).toString();

describe.skipIf(!chromiumPath)('with odd texts everywhere', () => {
  let browser: Browser;
  let shown: ShownDeployment;
  let base: string;
  /** Of an update with odd texts in quarantine, and of an operation on it. */
  let numbers: { update: number; operation: number };

  beforeAll(async () => {
    browser = await startBrowser();
    shown = await openShown();
    const worker = await shown.worker();
    await shown.ingest([
      { counter: 'views', key: SCRIPT, by: 1 },
      { counter: 'views', key: 'dropped', by: 1 },
      { counter: 'clicks', key: SCRIPT, by: 9_007_199_254_740_991 },
      { value: 'best', key: SCRIPT, put: 7 },
      {
        ...{ points: 'loyalty', account: SCRIPT, amount: 5, id: SCRIPT, reason: SCRIPT },
        metadata: { type: 'img', props: { onerror: SCRIPT }, constructor: null, ref: SCRIPT, __k: [] },
      },
    ]);
    await until(async () => (await shown.quarantined()) === 3, 'MySQL to refuse three');
    const by = ['--operator', SCRIPT];
    const replay = await shown.sluice(['failed', 'replay', '--kind', 'entry', ...by]);
    expect(replay.stderr).toBe('');
    const drop = await shown.sluice(['failed', 'drop', '--key', 'dropped', '--reason', SCRIPT, ...by]);
    expect(drop).toMatchObject({ code: 0 });
    const [row] = await shown.database.query("SELECT id FROM sluice_quarantine WHERE kind = 'entry'");
    numbers = { update: Number(row!.id), operation: 2 };
    worker.child.kill('SIGTERM');
    await worker.ended;
    await shown.failJob(SCRIPT);
    base = (await shown.console()).base;
  });

  const views: readonly (readonly [name: string, path: () => string, shows: string])[] = [
    ['overview', () => '/', 'The last hour'],
    ['partitions', () => '/partitions', 'Pending updates'],
    ['look-up', () => `/look-up?${asQuery({ of: 'points:loyalty', key: SCRIPT })}`, 'Adds up?'],
    [
      'look-up-counter',
      () => `/look-up?${asQuery({ of: 'counter:clicks', key: SCRIPT })}`,
      '9,007,199,254,740,991',
    ],
    ['found', () => `/look-up?${asQuery({ search: SCRIPT })}`, 'Where to look'],
    ['trace', () => `/trace?${asQuery({ name: 'loyalty', key: SCRIPT, id: SCRIPT })}`, 'quarantine'],
    ['quarantine', () => '/quarantine', '2 match'],
    ['quarantine-filtered', () => `/quarantine?${asQuery({ key: SCRIPT })}`, '2 match'],
    ['update', () => `/quarantine/${numbers.update}`, 'What was done about it'],
    ['jobs', () => '/jobs', 'onerror'],
    ['operations', () => '/operations', 'onerror'],
    ['operation', () => `/operations/${numbers.operation}`, 'onerror'],
    ['verify', () => '/verify', 'Compare now'],
    ['processes', () => '/processes', 'Definitions'],
    ['nothing', () => '/operations/999999', 'Operation 999999'],
  ];

  it.each(views)('%s', async (name, path, shows) => {
    const { context, complaints } = await openContext(browser, { colorScheme: 'light' });
    const page = await logIn(context, base, 'admin');
    await page.goto(base + path());
    await page.getByText(shows).first().waitFor();
    expect(await accessibilityFindings(page)).toEqual([]);
    await takePicture(page, name, 'light');
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await accessibilityFindings(page)).toEqual([]);
    await takePicture(page, name, 'dark');
    await page.setViewportSize(PHONE);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(PHONE.width);
    await takePicture(page, name, 'phone');
    for (const closed of await page.locator('details:not([open]) > summary').all()) await closed.click();
    expect(await page.evaluate('window.scriptRan')).toBeUndefined();
    expect(complaints).toEqual([]);
  });

  it('the login form, and the runbook', async () => {
    const { context, complaints } = await openContext(browser);
    const page = await context.newPage();
    await page.goto(`${base}/quarantine?key=x`);
    await page.getByLabel('Password').waitFor();
    expect(await accessibilityFindings(page)).toEqual([]);
    await page.goto(`${base}/runbook.html#sluicepartitionhalted`);
    expect(await accessibilityFindings(page)).toEqual([]);
    await page.setViewportSize(PHONE);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(PHONE.width);
    expect(complaints).toEqual([]);
  });

  it('a chart has its table behind it', async () => {
    const { context } = await openContext(browser);
    const page = await logIn(context, base, 'viewer');
    const lag = page.getByRole('figure').filter({ hasText: 'Lag' });
    await lag.getByRole('img', { name: /^Lag: lag is / }).waitFor();
    await lag.getByRole('button', { name: 'Table of Lag' }).click();
    await lag.getByRole('row').nth(1).waitFor();
    expect(await accessibilityFindings(page)).toEqual([]);
    await lag.getByRole('button', { name: 'Chart of Lag' }).click();
    await lag.getByRole('img').waitFor();
  });

  it('every filter is in the address, and the way back leads to the filters before', async () => {
    const { context } = await openContext(browser);
    const page = await logIn(context, base, 'viewer');
    await page.goto(`${base}/quarantine`);
    await page.getByLabel('Kind').selectOption('entry');
    await page.getByLabel('Name').fill('loyalty');
    await page.getByRole('button', { name: 'Filter' }).click();
    await page.getByText('1 match').waitFor();
    expect(new URL(page.url()).search).toBe('?kind=entry&name=loyalty');
    const sent = await context.newPage();
    await sent.goto(page.url());
    await sent.getByText('1 match').waitFor();
    expect(await sent.getByLabel('Name').inputValue()).toBe('loyalty');
    await page.goBack();
    await page.getByText('2 match').waitFor();
    expect(await page.getByLabel('Name').inputValue()).toBe('');
  });

  it('a choice of theme and of UTC or local time stays', async () => {
    const { context } = await openContext(browser, { timezoneId: 'Asia/Tokyo', colorScheme: 'light' });
    const page = await logIn(context, base, 'viewer');
    await page.getByRole('button', { name: /UTC/ }).click();
    await page.getByRole('button', { name: /local/ }).waitFor();
    await page.getByRole('button', { name: 'colours: system' }).click();
    await page.getByRole('button', { name: 'colours: light' }).click();
    await page.reload();
    await page.getByRole('button', { name: 'colours: dark' }).waitFor();
    await page.getByRole('button', { name: /local/ }).waitFor();
    expect(await page.evaluate('getComputedStyle(document.body).backgroundColor')).toBe('rgb(16, 19, 22)');
  });
});
