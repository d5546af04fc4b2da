// Transfers from end to end: a debit and a credit in the ledger, and a row in transit between the two.

import { measureEngine, microBatches } from '../engine.ts';
import type { Scenario } from '../scenario.ts';

const betweenAccounts = { counterKeys: 1, accounts: 10_000, pointsShare: 1, transfers: true, seed: 1 };

export const transfers: Scenario = {
  name: 'transfers',
  title: 'transfers between accounts, until both entries are in the ledger',
  unit: 'transfers/s',
  comparable: true,
  run: (rig, load) => measureEngine(rig, load, { ...microBatches, traffic: betweenAccounts }),
};
