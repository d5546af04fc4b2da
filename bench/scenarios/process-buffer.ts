// Peer 4: sums in the process' own memory. Its rate is what MySQL takes; its promise ends with the process.

import { measureProgram, zipfKeys } from '../peer.ts';
import type { Scenario } from '../scenario.ts';

export const processBuffer: Scenario = {
  name: 'process-buffer',
  title: 'peer: buffer in the process, multi-row upserts (a crash loses the buffer)',
  unit: 'updates/s',
  run: (rig, load) => measureProgram(rig, load, 'buffer', zipfKeys),
};
