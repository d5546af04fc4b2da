// By keyboard alone: every view, the search, the help, rows of lists, and what stops the live figures.

import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { accessibilityFindings, chromiumPath, startBrowser } from '../support/browser.ts';
import { logIn, openContext, openShown } from '../support/console-page.ts';

// A browser on a busy machine is slow.
vi.setConfig({ testTimeout: 180_000 });

/** Remembers every event stream that the page opens. */
const WATCH_STREAMS = `
  window.streams = [];
  window.EventSource = class extends EventSource {
    constructor(...args) { super(...args); window.streams.push(this); }
  };`;
/** Lets a test hide the page. */
const CAN_HIDE = `
  window.hide = hidden => {
    Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  };`;

const openStreams = (page: Page) =>
  page.evaluate('window.streams.filter(one => one.readyState !== 2).length');
const isLive = (page: Page, state: string) => page.locator(`[data-live="${state}"]`).waitFor();

describe.skipIf(!chromiumPath)('the console', () => {
  let browser: Browser;
  let base: string;
  let opened: Awaited<ReturnType<Awaited<ReturnType<typeof openShown>>['console']>>;

  beforeAll(async () => {
    browser = await startBrowser();
    const shown = await openShown(['viewer']);
    const worker = await shown.worker();
    await shown.refuse(3);
    worker.child.kill('SIGTERM');
    await worker.ended;
    opened = await shown.console();
    base = opened.base;
  });

  async function openPage() {
    const { context } = await openContext(browser);
    await context.addInitScript(WATCH_STREAMS + CAN_HIDE);
    const page = await logIn(context, base, 'viewer');
    await isLive(page, 'live');
    return page;
  }

  it('g and a letter lead to every view', async () => {
    const page = await openPage();
    const views = {
      p: 'Partitions',
      l: 'Look up',
      t: 'Trace',
      q: 'Quarantine',
      j: 'Flush jobs',
      a: 'Operations',
    };
    for (const [letter, title] of Object.entries({ ...views, v: 'Verify', w: 'Processes' })) {
      await page.keyboard.press('g');
      await page.keyboard.press(letter);
      await page.getByRole('heading', { level: 1, name: title }).waitFor();
    }
    await page.keyboard.press('g');
    await page.keyboard.press('o');
    await page.getByText('The last hour').waitFor();
    expect(new URL(page.url()).pathname).toBe('/');
  });

  it('/ searches, and leads to where a text may be', async () => {
    const page = await openPage();
    await page.keyboard.press('/');
    await page.keyboard.type('loyalty:a1');
    await page.keyboard.press('Enter');
    await page.getByText('Where to look').waitFor();
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.getByText('Adds up?').waitFor();
    expect(new URL(page.url()).search).toBe('?of=points%3Aloyalty&key=a1');
  });

  it('? shows the keys, and Escape closes them', async () => {
    const page = await openPage();
    await page.keyboard.press('?');
    const help = page.getByRole('dialog', { name: 'Keys' });
    await help.getByText('pause the live figures').waitFor();
    expect(await accessibilityFindings(page)).toEqual([]);
    await page.keyboard.press('Escape');
    await help.waitFor({ state: 'detached' });
  });

  it('j and k move along rows, and Enter opens one', async () => {
    const page = await openPage();
    await page.goto(`${base}/quarantine`);
    const rows = page.getByRole('region', { name: 'Updates in quarantine' }).locator('[data-row]');
    await rows.nth(2).waitFor();
    // The first row of the view is that of the group.
    for (const key of ['j', 'j', 'j', 'k']) await page.keyboard.press(key);
    expect(await rows.nth(0).and(page.locator(':focus')).count()).toBe(1);
    await page.keyboard.press('Enter');
    await page.getByText('What was done about it').waitFor();
  });

  it('. stops the stream and starts it again', async () => {
    const page = await openPage();
    expect(await openStreams(page)).toBe(1);
    await page.keyboard.press('.');
    await isLive(page, 'paused');
    expect(await openStreams(page)).toBe(0);
    await page.getByText('as of').waitFor();
    await page.keyboard.press('.');
    await isLive(page, 'live');
    expect(await openStreams(page)).toBe(1);
  });

  it('the stream stops while somebody types, and while the page is hidden', async () => {
    const page = await openPage();
    await page.getByLabel('Find a key or an account').pressSequentially('a');
    await isLive(page, 'typing');
    expect(await openStreams(page)).toBe(0);
    await page.keyboard.press('Tab');
    await isLive(page, 'live');
    await page.evaluate('hide(true)');
    expect(await openStreams(page)).toBe(0);
    await page.evaluate('hide(false)');
    expect(await openStreams(page)).toBe(1);
  });

  it('figures still come if a proxy lets no stream through', async () => {
    const { context } = await openContext(browser);
    await context.route('**/api/events', route => route.abort());
    const page = await logIn(context, base, 'viewer');
    await isLive(page, 'polling');
    const at = () => page.locator('.verdict-at time').getAttribute('datetime');
    const first = await at();
    await expect.poll(at, { timeout: 30_000 }).not.toBe(first);
  });

  it('says that nobody knows once the console is gone', async () => {
    const page = await openPage();
    opened.child.kill('SIGKILL');
    await page.locator('[data-verdict="unknown"]').waitFor({ timeout: 60_000 });
    await page.getByText('has not answered for').waitFor();
    await isLive(page, 'silent');
  });
});
