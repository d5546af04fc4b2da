/** All routes of the API. */
import { counterRoutes } from './counters.ts';
import { failedRoutes } from './failed.ts';
import { holdRoutes } from './holds.ts';
import { pointsRoutes } from './points.ts';
import { rankRoutes } from './ranks.ts';
import { receiptRoutes } from './receipts.ts';
import { referenceRoutes } from './reference.ts';
import type { Route } from './route.ts';
import { updatesRoutes } from './updates.ts';
import { valueRoutes } from './values.ts';

const data: readonly Route[] = [
  ...counterRoutes,
  ...pointsRoutes,
  ...holdRoutes,
  ...valueRoutes,
  ...rankRoutes,
  ...updatesRoutes,
  ...receiptRoutes,
  ...failedRoutes,
];

export const routes: readonly Route[] = [...data, ...referenceRoutes(data)];
