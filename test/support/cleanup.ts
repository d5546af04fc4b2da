/** Closes what a test opened: after that test, or after the file if no test is running. */
import { afterAll, onTestFinished } from 'vitest';

type Close = () => unknown;

/**
 * Vitest silently ignores an `afterAll` inside a `beforeAll` or a test, so this file registers the only one.
 */
const afterFile: Close[] = [];
afterAll(async () => {
  for (const close of afterFile.splice(0).reverse()) await close();
});

/** Closes in reverse order of the calls. */
export function cleanUp(close: Close): void {
  try {
    onTestFinished(async () => {
      await close();
    });
  } catch {
    afterFile.push(close);
  }
}
