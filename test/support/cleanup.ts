/** Closes what a test opened: after that test, or after the file if no test is running. */
import { onTestFinished } from 'vitest';

type Close = () => unknown;

const afterFile: Close[] = [];

/** Closes what no test has closed; after-file.ts calls it. */
export async function closeAll(): Promise<void> {
  for (const close of afterFile.splice(0).reverse()) await close();
}

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
