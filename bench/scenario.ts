// What a benchmark is: it runs on the rig for a while and comes back with a rate and what explains it.
// A new one is a file in scenarios/ and a line in scenarios/index.ts.

import type { Rig } from './rig.ts';

/** How much is pushed in one measurement: whichever is reached first. */
export interface Load {
  seconds: number;
  updates: number;
  /** Seconds of the same load before the clock starts. */
  warmUpSeconds: number;
}

export interface Measurement {
  /** In the scenario's unit. */
  perSecond: number;
  /** What was lost or counted twice; anything but 0 makes the whole run fail. */
  difference: number;
  details: Record<string, number>;
}

export interface Scenario {
  name: string;
  title: string;
  unit: string;
  /** What issue or README promise, in the scenario's unit. */
  target?: number;
  /** `previous` holds this round's measurements so far. */
  run(rig: Rig, load: Load, previous: ReadonlyMap<string, Measurement>): Promise<Measurement>;
}
