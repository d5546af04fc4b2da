// What an operator does at night, by the page alone, checked in MySQL: look at what would happen, replay, edit, drop,
// stop and resume, repair, compare. And who may.

import { readFile } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { accessibilityFindings, chromiumPath, startBrowser } from '../support/browser.ts';
import { logIn, openContext, openShown, PASSWORD } from '../support/console-page.ts';
import { until } from '../support/engine.ts';
import { addToLive, setLive } from '../support/live.ts';
import { openProxy } from '../support/proxy.ts';
import { insertEntry } from '../support/transfer-rows.ts';

// A browser on a busy machine is slow.
vi.setConfig({ testTimeout: 180_000 });

describe.skipIf(!chromiumPath)('by the page', () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await startBrowser();
  });

  /** A console with this many updates in quarantine, and a page of it. */
  async function open(refused: number, name = 'operator') {
    const shown = await openShown(['viewer', 'operator', 'admin']);
    const worker = await shown.worker();
    if (refused > 0) await shown.refuse(refused);
    const { base } = await shown.console();
    const { context, complaints } = await openContext(browser);
    const page = await logIn(context, base, name);
    return { shown, worker, base, context, complaints, page };
  }

  const button = (page: Page, name: string | RegExp) => page.getByRole('button', { name });
  const finished = (page: Page, timeout = 30_000) =>
    page.locator('main').getByText('finished', { exact: true }).first().waitFor({ timeout });

  it('refused updates are replayed after the cause is mended', async () => {
    const { shown, base, page, complaints } = await open(3);
    await page.goto(`${base}/quarantine`);
    await page.getByRole('region', { name: 'Groups' }).getByText('TARGET_ROW_MISSING').click();
    await button(page, 'Replay all…').click();
    const dialog = page.getByRole('dialog');
    await dialog.getByText('would be refused').waitFor();
    await button(page, 'Cancel').click();
    await shown.addAccounts(3);
    await button(page, 'Replay all…').click();
    await dialog.getByText('would be replayed').waitFor();
    expect(await accessibilityFindings(page)).toEqual([]);
    expect(await shown.pointsOf('a3')).toBe(0);
    await button(page, 'Replay 3 updates').click();
    // Without a reason the browser refuses.
    expect(await shown.quarantined()).toBe(3);
    await page.getByLabel('Reason, for the audit record').fill('rows were missing');
    await button(page, 'Replay 3 updates').click();
    await finished(page);
    await page.getByRole('list', { name: 'Outcomes' }).getByText('replayed').waitFor();
    expect(await shown.quarantined()).toBe(0);
    expect(await shown.pointsOf('a3')).toBe(3);
    const [operation] = await shown.database.query('SELECT operator, reason FROM sluice_operations');
    expect(operation).toMatchObject({ operator: 'operator', reason: 'rows were missing' });
    await page.goto(`${base}/operations`);
    await page.getByText('rows were missing').waitFor();
    expect(complaints).toEqual([]);
  });

  it('one update is edited, another dropped, and both keep their history', async () => {
    const { shown, base, page } = await open(2);
    await shown.addAccounts(2);
    const rows = await shown.database.query('SELECT id FROM sluice_quarantine ORDER BY amount');
    const [first, second] = rows.map(row => Number(row.id));
    await page.goto(`${base}/quarantine/${first}`);
    await button(page, 'Edit…').click();
    await page.getByLabel('Amount', { exact: true }).fill('40');
    // The server judges what was typed: the page reads no number.
    await page.getByLabel('Metadata').fill('{"ticket": 1, "ticket": 2}');
    await button(page, 'See what would happen').click();
    await page.getByText('one key twice').waitFor();
    await page.reload();
    await button(page, 'Edit…').click();
    await page.getByLabel('Amount', { exact: true }).fill('40');
    await page.getByLabel('Metadata').fill('7}');
    await button(page, 'See what would happen').click();
    await page.getByText('The metadata must be a JSON object').waitFor();
    const metadata = '{"ticket":7,"weight":123456789012345.678,"number":1546130668394913822,"far":1e400}';
    await page.getByLabel('Metadata').fill(metadata);
    await button(page, 'See what would happen').click();
    await page.getByLabel('Reason, for the audit record').fill('support ticket');
    await button(page, 'Edit 1 update').click();
    await finished(page);
    await until(async () => (await shown.pointsOf('a1')) === 40, 'the edited amount');
    const [entry] = await shown.database.query('SELECT metadata FROM sluice_entries');
    expect(String(entry!.metadata)).toBe(
      '{"far":1e400,"number":1546130668394913822,"ticket":7,"weight":123456789012345.678}',
    );
    await page.goto(`${base}/quarantine/${second}`);
    await button(page, 'Drop…').click();
    await page.getByLabel('Reason, for the audit record').fill('was a test');
    await button(page, 'Drop 1 update').click();
    await finished(page);
    await page.goto(`${base}/quarantine/${second}`);
    await page.getByText('no longer in quarantine').waitFor();
    await page.getByText('was a test').waitFor();
    expect(await shown.pointsOf('a2')).toBe(0);
  });

  it('a drop leaves alone what entered quarantine after the dry run, also if as many left meanwhile', async () => {
    const { shown, base, page } = await open(2);
    await page.goto(`${base}/quarantine`);
    await button(page, 'Drop all…').click();
    await button(page, 'Drop 2 updates').waitFor();
    await shown.database.query("DELETE FROM sluice_quarantine WHERE item_key = 'a1'");
    await shown.ingest([{ points: 'loyalty', account: 'late', amount: 7, id: 'late' }]);
    await until(async () => (await shown.quarantined()) === 2, 'MySQL to refuse it');
    await page.getByLabel('Reason, for the audit record').fill('only those two');
    await button(page, 'Drop 2 updates').click();
    await finished(page);
    expect(await shown.database.query('SELECT item_key FROM sluice_quarantine')).toEqual([
      { item_key: Buffer.from('late') },
    ]);
  });

  it('above 100 the number is typed; a run is stopped and resumed', async () => {
    const { shown, base, page } = await open(120);
    await shown.addAccounts(120);
    await page.goto(`${base}/quarantine`);
    await button(page, 'Replay all…').click();
    const confirm = button(page, 'Replay 120 updates');
    await confirm.waitFor();
    await page.getByLabel('Reason, for the audit record').fill('slowly');
    await page.getByLabel(/^Updates a second/).fill('5');
    await page.getByLabel('Type 120 to confirm').fill('12');
    await confirm.click();
    expect(await page.getByRole('dialog').count()).toBe(1);
    await page.getByLabel('Type 120 to confirm').fill('120');
    await confirm.click();
    await page.getByText(/\d+ of 120/).waitFor();
    await button(page, 'Stop').click();
    await page.getByText('interrupted').waitFor();
    expect(await shown.quarantined()).toBeGreaterThan(0);
    // Clicked twice while the answer takes its time, it is sent once.
    const answer = Promise.withResolvers<void>();
    let sent = 0;
    await page.route('**/resume', async route => {
      sent++;
      await answer.promise;
      await route.continue();
    });
    await button(page, 'Resume').evaluate((element: { click(): void }) => {
      element.click();
      element.click();
    });
    await until(async () => button(page, 'Resume').isDisabled(), 'the button to be off');
    answer.resolve();
    // At the rate of the first run.
    await finished(page, 120_000);
    expect(sent).toBe(1);
    expect(await shown.quarantined()).toBe(0);
    expect(await shown.pointsOf('a120')).toBe(120);
  });

  it('updates that are not found in time are not said to be none, and can be acted on', async () => {
    const shown = await openShown();
    await shown.fill(9000, 0);
    await shown.fill(3, 1);
    // One look at the rows takes all the time.
    const far = await openProxy(shown.env.MYSQL_URL!, undefined, 30);
    const { base } = await shown.console({ MYSQL_URL: far.url });
    const { context, complaints } = await openContext(browser);
    const page = await logIn(context, base, 'operator');
    await page.goto(`${base}/quarantine?partition=1`);
    await page.getByText('None was found in time; some may match all the same.').waitFor();
    await page.getByText('Not counted in time').waitFor();
    await page.getByText('Nothing was found here up to number 4000.').waitFor();
    expect(await page.getByText('Nothing is in quarantine that matches.').count()).toBe(0);
    expect(await accessibilityFindings(page)).toEqual([]);
    await button(page, 'Drop all…').click();
    await button(page, 'Drop 3 updates').waitFor();
    await button(page, 'Cancel').click();
    await button(page, 'Next page').click();
    await page.getByText('Nothing was found here up to number 8000.').waitFor();
    await button(page, 'Next page').click();
    await page.getByText('a2', { exact: true }).waitFor();
    expect(complaints).toEqual([]);
  });

  it('the window stays open when the last update that matched has left quarantine', async () => {
    const { shown, base, page } = await open(1);
    await page.goto(`${base}/quarantine`);
    await button(page, 'Drop all…').click();
    await button(page, 'Drop 1 update').waitFor();
    await shown.database.query('DELETE FROM sluice_quarantine');
    await page.getByText('Nothing is in quarantine that matches.').waitFor();
    await page.getByText('0 match').waitFor();
    await button(page, 'Drop 1 update').waitFor();
    await button(page, 'Cancel').click();
    await page.getByText('0 match').waitFor({ state: 'detached' });
  });

  it('a failed flush job is dropped', async () => {
    const { shown, worker, base, page } = await open(0);
    // It would carry the job out.
    worker.child.kill('SIGTERM');
    await worker.ended;
    await shown.failJob('made by the test');
    await page.goto(`${base}/jobs`);
    await page.getByText('made by the test').waitFor();
    await button(page, 'Drop all shown…').click();
    await page.getByLabel('Reason, for the audit record').fill('the sweep is enough');
    await button(page, 'Drop 1 job').click();
    await finished(page);
    await page.goto(`${base}/jobs`);
    await page.getByText('No job is failed.').waitFor();
  });

  it('a wrong live value is shown as drift, and repaired', async () => {
    const { shown, base, page } = await open(0);
    await shown.ingest([{ counter: 'clicks', key: '/', by: 5 }]);
    await until(async () => (await shown.read('clicks', '/')) === 5, 'the value');
    await addToLive(shown, 'c', 'clicks:/', 2);
    await page.goto(`${base}/look-up?of=counter:clicks&key=%2F`);
    await page.getByText('no, a drift of +2').waitFor();
    await button(page, 'Repair the live value').click();
    await page.getByLabel('Reason, for the audit record').fill('somebody wrote into Redis');
    await button(page, 'Repair it').click();
    await page.getByText('It was 7 and is 5 now.').waitFor();
    expect(await shown.read('clicks', '/')).toBe(5);
  });

  it('wrong held points are shown as wrong, and repaired', async () => {
    const { shown, base, page } = await open(0, 'admin');
    await shown.addAccounts(1);
    const producer = await shown.producer();
    await producer.points('loyalty').credit('a1', 100, { id: 'order' });
    await producer.points('loyalty').hold('a1', 10, { id: 'hold' });
    await producer.close();
    await until(
      async () => (await shown.database.query('SELECT 1 FROM sluice_holds')).length === 1,
      'the hold in MySQL',
    );
    await setLive(shown, 'p', 'loyalty:a1', '100/30');
    await page.goto(`${base}/verify`);
    await button(page, 'Compare now').click();
    const row = page.getByRole('region', { name: 'Live values that drifted' }).getByRole('row').nth(1);
    await row.getByText('100 (30 held)').waitFor();
    await row.getByText('100 (10 held)').waitFor();
    await row.getByRole('link').click();
    await page.getByText('no, 30 held instead of 10').waitFor();
    expect(await accessibilityFindings(page)).toEqual([]);
    await button(page, 'Repair the live value').click();
    await page.getByLabel('Reason, for the audit record').fill('somebody wrote into Redis');
    await button(page, 'Repair it').click();
    await page.getByText('It was 100 (30 held) and is 100 (10 held) now.').waitFor();
    await page.getByText('yes, exactly').waitFor();
  });

  it('a comparison finds drift; an admin repairs it', async () => {
    const { shown, base, page } = await open(0, 'admin');
    await shown.ingest([{ counter: 'clicks', key: '/', by: 5 }]);
    await until(async () => (await shown.read('clicks', '/')) === 5, 'the value');
    await addToLive(shown, 'c', 'clicks:/', 2);
    await page.goto(`${base}/verify`);
    await button(page, 'Compare now').click();
    await page.getByText('did not add up').waitFor();
    await page.getByRole('region', { name: 'Live values that drifted' }).getByText('clicks').waitFor();
    await button(page, 'Compare and repair…').click();
    await page.getByLabel('Reason, for the audit record').fill('known');
    await button(page, 'Start').click();
    await until(async () => (await shown.read('clicks', '/')) === 5, 'the repair');
  });

  it('a comparison that read no table, or found only transfers that do not add up, is not green', async () => {
    const { shown, base, page } = await open(0, 'admin');
    await page.goto(`${base}/verify`);
    const chip = page.locator('main .lead .chip');
    await button(page, 'Compare now').click();
    await chip.filter({ hasText: 'Everything adds up' }).waitFor();
    await shown.database.query('RENAME TABLE products TO hidden');
    await button(page, 'Compare now').click();
    await page.getByText('The counter views was not compared.').waitFor();
    expect(await chip.textContent()).toContain('What was compared adds up');
    expect(await chip.getAttribute('class')).toContain('chip-warning');
    await insertEntry(shown.database, 'b', 5, { transfer: 't1' });
    await insertEntry(shown.database, 'b', 5, { transfer: 't2' });
    await button(page, 'Compare now').click();
    await page.getByText('2 transfers do not add up').waitFor();
    expect(await chip.textContent()).toContain('2 did not add up');
    expect(await chip.getAttribute('class')).toContain('chip-bad');
  });

  it('operations are exported as lines of JSON', async () => {
    const { shown, base, page } = await open(1);
    await shown.sluice(['failed', 'drop', '--all', '--reason', 'test']);
    await page.goto(`${base}/operations`);
    const download = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Export as NDJSON' }).click();
    const text = await readFile(await (await download).path(), 'utf8');
    expect(JSON.parse(text.trim().split('\n')[0]!)).toMatchObject({ action: 'drop', reason: 'test' });
  });

  it('a viewer may look, and reads why nothing can be changed', async () => {
    const { base, page } = await open(1, 'viewer');
    await page.goto(`${base}/quarantine`);
    await page.getByText('This needs the role operator.').waitFor();
    for (const name of ['Replay all…', 'Edit all…', 'Drop all…'])
      expect(await button(page, name).isDisabled()).toBe(true);
    await page.goto(`${base}/verify`);
    expect(await button(page, 'Compare now').isDisabled()).toBe(true);
  });

  it('the form refuses a wrong password, leads back, and leads nowhere else', async () => {
    const shown = await openShown(['viewer']);
    const { base } = await shown.console();
    const { context } = await openContext(browser);
    const page = await context.newPage();
    await page.goto(`${base}/quarantine?name=loyalty`);
    await page.getByLabel('Name').fill('viewer');
    await page.getByLabel('Password').fill('something else entirely');
    await button(page, 'Log in').click();
    await page.getByText('UNAUTHENTICATED').waitFor();
    await page.getByLabel('Password').fill(PASSWORD);
    await button(page, 'Log in').click();
    await page.getByRole('heading', { name: 'Quarantine' }).waitFor();
    expect(page.url()).toBe(`${base}/quarantine?name=loyalty`);
    await button(page, 'Log out').click();
    // To go on before the answer would break the request off.
    await page.getByLabel('Password').waitFor();
    for (const to of ['//evil.test/', '/\\evil.test/', 'https://evil.test/', 'javascript:alert(1)']) {
      await page.goto(`${base}/login?to=${encodeURIComponent(to)}`);
      await page.getByLabel('Name').fill('viewer');
      await page.getByLabel('Password').fill(PASSWORD);
      await button(page, 'Log in').click();
      await page.locator('[data-verdict]').waitFor();
      expect(page.url()).toBe(`${base}/`);
      await button(page, 'Log out').click();
      await page.getByLabel('Password').waitFor();
    }
  });

  it('a login that ends elsewhere leads to the form, also from the page that only listens', async () => {
    const { shown, base, page } = await open(0, 'viewer');
    await page.goto(`${base}/`);
    await page.getByText('Servers and workers').waitFor();
    await shown.database.query('DELETE FROM sluice_sessions');
    await page.getByLabel('Password').waitFor();
    expect(page.url()).toBe(`${base}/login?to=%2F`);
  });

  it('a logout while MySQL is away leaves nothing to see, and no cookie', async () => {
    const shown = await openShown(['viewer']);
    const proxy = await openProxy(shown.env.MYSQL_URL!);
    const { base } = await shown.console({ MYSQL_URL: proxy.url });
    const { context } = await openContext(browser);
    const page = await logIn(context, base, 'viewer');
    await page.goto(`${base}/verify`);
    await button(page, 'Compare now').waitFor();
    proxy.refuse();
    await button(page, 'Log out').click();
    await page.getByLabel('Password').waitFor();
    expect(await context.cookies()).toEqual([]);
  });

  it('without users anyone on this machine may look, and nobody may change anything', async () => {
    const shown = await openShown([]);
    const { base } = await shown.console();
    const { context } = await openContext(browser);
    const page = await context.newPage();
    await page.goto(`${base}/verify`);
    await page.getByText('Read-only: there are no users.').waitFor();
    expect(await button(page, 'Compare now').isDisabled()).toBe(true);
  });
});
