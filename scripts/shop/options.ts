/** The command line of `npm run shop`. A mistake is reported in one sentence, with exit code 2. */
import { parseArgs } from 'node:util';

export interface ShopOptions {
  readonly users: number;
  readonly products: number;
  /** Measures the cache instead. */
  readonly benchmark: boolean;
  readonly json: boolean;
  readonly help: boolean;
}

export class UsageError extends Error {}

export const usage = `Usage: npm run shop -- [options]

Starts the shop of examples/shop with everything around it: two Redis servers, MySQL, Sluice's tables and workers,
made-up products and users, the process of the jobs, two processes of the API, and the console. Ctrl-C ends it all.

Options:
  --users N      number of users (default 100000)
  --products N   number of products (default 10000)
  --benchmark    start the servers only, and measure the shop with its cache and without it: about ten minutes
  --json         once all is ready, print one line of JSON on stdout: {"ready":true,"api":[...],"console":"..."}
  --help         show this text

Exit codes: 0 stopped by Ctrl-C or SIGTERM, or measured; 1 a failure; 2 usage.
`;

const MOST = 10_000_000;

/** @throws UsageError */
export function parseOptions(args: readonly string[]): ShopOptions {
  const { users, products, benchmark = false, json = false, help = false } = parse(args);
  return {
    users: count('users', users ?? '100000'),
    products: count('products', products ?? '10000'),
    benchmark,
    json,
    help,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        users: { type: 'string' },
        products: { type: 'string' },
        benchmark: { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(
      `${(error as Error).message.replace(/\.?$/, '.')} "npm run shop -- --help" shows what there is.`,
    );
  }
}

function count(name: string, text: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < 1 || number > MOST)
    throw new UsageError(`--${name} takes a whole number from 1 to ${MOST}, not "${text}".`);
  return number;
}
