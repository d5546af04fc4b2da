// Bytes of Redis per pending update, everything included: key or id, value, and Redis' overhead. `npm run
// memory` measures the same on every server and writes docs/memory.md.

import { CHUNK, measureMemory } from '../memory-growth.ts';
import type { Scenario } from '../scenario.ts';

export const pendingMemory: Scenario = {
  name: 'pending-memory',
  title: 'memory of Redis for a pending counter key of 20 bytes',
  unit: 'bytes',
  once: true,
  run: (rig, load) =>
    rig.withSite(async ({ deployment, settings }) => {
      const count = Math.max(CHUNK, Math.min(100_000, Math.floor(load.updates / CHUNK) * CHUNK));
      const { counterKey, entry } = await measureMemory({ ...deployment, settings }, count, 'pending only');
      return {
        value: counterKey,
        difference: 0,
        details: { keyBytes: counterKey, entryBytes: entry, count },
      };
    }),
};
