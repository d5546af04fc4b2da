// Peer 3: the list pattern. A crash of its worker loses the updates that it has taken off the list.

import { measureQueue } from '../peer.ts';
import type { Scenario } from '../scenario.ts';

export const redisList: Scenario = {
  name: 'redis-list',
  title: 'peer: LPUSH for each update, a loop that takes 100 and upserts row by row',
  unit: 'updates/s',
  run: (rig, load) => measureQueue(rig, load, { producer: 'list-producer', worker: 'list-worker' }),
};
