// Peer 4: sums in the process's memory. Its rate is limited by MySQL only, and a crash loses the sums.

import { measureProgram, zipfKeys } from '../peer.ts';
import type { Scenario } from '../scenario.ts';
import { reads } from './live.ts';

/** With values that can be read, as `live` has them. */
export const readableBuffer: Scenario = {
  name: 'readable-buffer',
  title: 'peer: the same, with the sums in a hash of Redis too, some of which are read',
  unit: 'updates/s',
  run: (rig, load) => measureProgram(rig, load, 'buffer', { ...zipfKeys, reads }),
};

export const processBuffer: Scenario = {
  name: 'process-buffer',
  title: 'peer: buffer in the process, multi-row upserts (a crash loses the buffer)',
  unit: 'updates/s',
  run: (rig, load) => measureProgram(rig, load, 'buffer', zipfKeys),
};
