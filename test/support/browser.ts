/** One Chromium for a file of tests, and a context of its own for each test. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { cleanUp } from './cleanup.ts';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

/** Undefined if the machine has none: then setup.sh could not install one, and the browser tests are skipped. */
export const chromiumPath = NAMES.flatMap(name =>
  (process.env.PATH ?? '').split(delimiter).map(folder => join(folder, name)),
).find(path => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
});

if (!chromiumPath)
  console.warn(
    `browser tests are skipped: none of ${NAMES.join(', ')} is installed; run: bash scripts/setup.sh test`,
  );

/** Starts it for this file; root in a container may have no sandbox. */
export async function startBrowser(): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: chromiumPath!,
    headless: true,
    args: ['--headless=new', '--no-sandbox'],
  });
  cleanUp(() => browser.close());
  return browser;
}

/** What axe-core finds on the page, one line each. */
export async function accessibilityFindings(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<{ violations: { id: string; nodes: { html: string }[] }[] }>(
    'axe.run()',
  );
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
}
