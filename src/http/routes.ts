/** All routes of the API. */
import { counterRoutes } from './counters.ts';
import { pointsRoutes } from './points.ts';
import type { Route } from './route.ts';
import { updatesRoutes } from './updates.ts';

export const routes: readonly Route[] = [...counterRoutes, ...pointsRoutes, ...updatesRoutes];
