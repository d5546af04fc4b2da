// Moves a slot of a Cluster to another master.

import { Redis } from 'ioredis';
import type { RedisCluster } from '../../scripts/servers.ts';
import { cleanUp } from './cleanup.ts';

/** Moves the slot of a key step by step. */
export async function openMove(cluster: RedisCluster, stateKey: string) {
  const nodes = cluster.nodes.map(node => new Redis(node.url));
  cleanUp(() => {
    for (const node of nodes) node.disconnect();
  });
  const ids = await Promise.all(nodes.map(node => node.cluster('MYID') as Promise<string>));
  const slot = Number(await nodes[0]!.cluster('KEYSLOT', stateKey));
  const ranges = await nodes[0]!.cluster('SLOTS');
  const [, , owner] = ranges.find(([first, last]) => first <= slot && slot <= last)!;
  const at = ids.indexOf(owner![2]);
  const target = (at + 1) % nodes.length;
  const [from, to] = [nodes[at]!, nodes[target]!];
  const migrate = (key: string) =>
    from.migrate('127.0.0.1', Number(new URL(cluster.nodes[target]!.url).port), key, 0, 5000);
  return {
    async begin() {
      await to.cluster('SETSLOT', slot, 'IMPORTING', ids[at]!);
      await from.cluster('SETSLOT', slot, 'MIGRATING', ids[target]!);
    },
    migrate,
    async finish() {
      for (;;) {
        const keys = (await from.cluster('GETKEYSINSLOT', slot, 100)) as string[];
        if (keys.length === 0) break;
        // Without REPLACE, so that a key which a stopped script created on the target fails the move.
        for (const key of keys) await migrate(key);
      }
      for (const node of nodes) await node.cluster('SETSLOT', slot, 'NODE', ids[target]!);
    },
  };
}
