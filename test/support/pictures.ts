/** Pictures for docs/console.md, taken by the tests if `TEST_PICTURES=1` asks for them. */
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';

const folder = fileURLToPath(new URL('../../docs/images/', import.meta.url));

/** Which views the document shows. */
const SHOWN = new Set<string>();

export async function takePicture(page: Page, name: string, look: 'light' | 'dark' | 'phone'): Promise<void> {
  if (process.env.TEST_PICTURES === '1' && SHOWN.has(`${name}-${look}`))
    await page.screenshot({ path: `${folder}console-${name}-${look}.png` });
}
