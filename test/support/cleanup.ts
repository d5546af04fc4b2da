/** What a helper opened is closed after the test that asked for it, or after the file if no test runs yet. */
import { afterAll, onTestFinished } from 'vitest';

type Close = () => unknown;

/** Vitest takes an `afterAll` inside a `beforeAll` or a test without a word and never runs it: there is one, made here. */
const afterFile: Close[] = [];
afterAll(async () => {
  for (const close of afterFile.splice(0).reverse()) await close();
});

/** The last one first. */
export function cleanUp(close: Close): void {
  try {
    onTestFinished(async () => {
      await close();
    });
  } catch {
    afterFile.push(close);
  }
}
