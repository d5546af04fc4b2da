/** All routes of the console that need a role. */
import { lookUpRoutes } from './look-up.ts';
import type { Route } from './route.ts';

export const routes: readonly Route[] = [...lookUpRoutes];
