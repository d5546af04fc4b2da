// `npm run shop`: the shop of examples/shop with everything around it, until Ctrl-C. Addresses and curl lines go to
// stderr; with --json, one line for programs to stdout. Exit codes: 0 stopped, 1 a failure, 2 usage.

import { Screen } from './demo/screen.ts';
import { parseOptions, type ShopOptions, UsageError, usage } from './shop/options.ts';
import { openStack, runBenchmark, type Stack } from './shop/stack.ts';

const screen = new Screen(process.stderr);
/** npm forwards a Ctrl-C that the terminal has sent already: the same signal so soon is no second one. */
const SAME_SIGNAL_MS = 500;

function readOptions(): ShopOptions {
  try {
    return parseOptions(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`shop: ${error.message}\n`);
    process.exit(2);
  }
}

function addressesOf({ api, console, folder, adminKey, env }: Stack): string[] {
  const [first] = api;
  return [
    '',
    'The shop runs:',
    `  API        ${api.join('  ')}   what there is: ${first}/docs`,
    `  console    ${console}`,
    `  logs       ${folder}`,
    '',
    'Try it from another terminal:',
    `  curl -i ${first}/products/7                  # again: from the cache`,
    `  curl -X POST ${first}/products/7/views       # counts once for each call`,
    `  curl ${api.at(-1)}/leaderboard               # of any process`,
    `  curl -X POST ${first}/products/7/stock -H 'x-admin-key: ${adminKey}' -H 'content-type: application/json' -H 'idempotency-key: first' -d '{"pieces":50}'`,
    '  more in examples/shop/README.md',
    '',
    'And from a checkout:',
    `  export REDIS_URL=${env.REDIS_URL} CACHE_REDIS_URL=${env.CACHE_REDIS_URL} MYSQL_URL=${env.MYSQL_URL}`,
    `  export SLUICE_CONFIG=${env.SLUICE_CONFIG}`,
    '  npm run -s sluice -- status',
    '',
    'Ctrl-C ends it and removes its data.',
  ];
}

const options = readOptions();
if (options.help) {
  process.stdout.write(usage);
  process.exit(0);
}
if (options.benchmark) {
  // Ctrl-C ends this process, and so the servers.
  await runBenchmark(options, screen);
  process.exit(0);
}
let stoppingSince: number | undefined;
let opening: Promise<Stack> | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, async () => {
    if (stoppingSince !== undefined) {
      if (performance.now() - stoppingSince > SAME_SIGNAL_MS) process.exit(1);
      return;
    }
    stoppingSince = performance.now();
    screen.note('stopping everything that was started');
    const stack = await opening?.catch(() => undefined);
    await stack?.close();
    process.exit(0);
  });
try {
  opening = openStack(options, screen);
  const stack = await opening;
  screen.block(addressesOf(stack));
  if (options.json)
    process.stdout.write(`${JSON.stringify({ ready: true, api: stack.api, console: stack.console })}\n`);
} catch (error) {
  if (stoppingSince === undefined) {
    screen.fail((error as Error).message);
    process.exit(1);
  }
}
