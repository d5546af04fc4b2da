// Every view in Chromium on real servers, full of texts that would be scripts: none runs, nothing breaks the policy,
// axe-core finds nothing in either theme, and nothing scrolls sideways on a phone.

import type { Browser, BrowserContext } from 'playwright-core';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { accessibilityFindings, chromiumPath, startBrowser } from '../support/browser.ts';
import { logIn, openContext, openShown, SCRIPT, type ShownDeployment } from '../support/console-page.ts';
import { until } from '../support/engine.ts';

// A browser on a busy machine is slow.
vi.setConfig({ testTimeout: 180_000 });

const PHONE = { width: 360, height: 740 };
const asQuery = (texts: Record<string, string>) => new URLSearchParams(texts).toString();

describe.skipIf(!chromiumPath)('with odd texts everywhere', () => {
  let browser: Browser;
  let shown: ShownDeployment;
  let base: string;
  /** Cookies of an admin. */
  let loggedIn: Awaited<ReturnType<BrowserContext['storageState']>>;
  /** The ids of an update with odd texts in quarantine, and of an operation on it. */
  let numbers: { update: number; operation: number };

  beforeAll(async () => {
    browser = await startBrowser();
    shown = await openShown();
    const worker = await shown.worker();
    await shown.ingest([
      { counter: 'views', key: SCRIPT, by: 1 },
      { counter: 'views', key: 'dropped', by: 1 },
      { counter: 'clicks', key: SCRIPT, by: 9_007_199_254_740_991 },
      { value: 'best', key: SCRIPT, is: 7 },
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
    const context = await browser.newContext();
    await logIn(context, base, 'admin');
    loggedIn = await context.storageState();
    await context.close();
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

  async function openPage(options: Parameters<Browser['newContext']>[0] = {}, path = '/') {
    const { context, complaints } = await openContext(browser, { ...options, storageState: loggedIn });
    const page = await context.newPage();
    await page.goto(base + path);
    return { context, complaints, page };
  }

  it.each(views)('%s', async (_, path, shows) => {
    const { page, complaints } = await openPage({ colorScheme: 'light' }, path());
    await page.getByText(shows).first().waitFor();
    expect(await accessibilityFindings(page)).toEqual([]);
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await accessibilityFindings(page)).toEqual([]);
    await page.setViewportSize(PHONE);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(PHONE.width);
    await page.evaluate("for (const closed of document.querySelectorAll('details')) closed.open = true");
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
    const { page } = await openPage();
    const lag = page.getByRole('figure').filter({ hasText: 'Lag' });
    await lag.getByRole('img', { name: /^Lag: lag is / }).waitFor();
    await lag.getByRole('button', { name: 'Table of Lag' }).click();
    await lag.getByRole('row').nth(1).waitFor();
    expect(await accessibilityFindings(page)).toEqual([]);
    await lag.getByRole('button', { name: 'Chart of Lag' }).click();
    await lag.getByRole('img').waitFor();
  });

  it('every filter is in the address, and the way back leads to the filters before', async () => {
    const { context, page } = await openPage();
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
    const { page } = await openPage({ timezoneId: 'Asia/Tokyo', colorScheme: 'light' });
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
