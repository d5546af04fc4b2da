/** All routes of the console that show or change what the servers hold. */
import { definitionRoutes } from './definitions.ts';
import { jobRoutes } from './jobs.ts';
import { lookUpRoutes } from './look-up.ts';
import { operationRoutes } from './operations.ts';
import { overviewRoutes } from './overview.ts';
import { partitionRoutes } from './partitions.ts';
import { processRoutes } from './processes.ts';
import { quarantineRoutes } from './quarantine.ts';
import type { Route } from './route.ts';
import { traceRoutes } from './trace.ts';
import { verifyRoutes } from './verify.ts';

export const routes: readonly Route[] = [
  ...overviewRoutes,
  ...partitionRoutes,
  ...lookUpRoutes,
  ...traceRoutes,
  ...quarantineRoutes,
  ...jobRoutes,
  ...operationRoutes,
  ...verifyRoutes,
  ...processRoutes,
  ...definitionRoutes,
];
