/** What a helper opened is closed after the test that asked for it, or after the file where no test runs yet. */
import { afterAll, onTestFinished } from 'vitest';

/** The last one first. Called inside a test, `afterAll` alone would be taken without a word and never run. */
export function cleanUp(close: () => unknown): void {
  const run = async () => {
    await close();
  };
  try {
    onTestFinished(run);
  } catch {
    afterAll(run);
  }
}
