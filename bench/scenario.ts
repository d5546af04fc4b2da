// What a benchmark is: it runs on the rig for a while and comes back with one number and what explains it.
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
  value: number;
  /** What was lost or counted twice; anything but 0 makes the whole run fail. */
  difference: number;
  details: Record<string, number>;
  /** Samples over time, where the course counts and not only its end. */
  series?: Record<string, number[]>;
}

/** A round's measurements so far, by scenario. */
export type Round = ReadonlyMap<string, Measurement>;

export interface Scenario {
  name: string;
  title: string;
  unit: string;
  /** Measured in the first round only: what does not vary. */
  once?: boolean;
  run(rig: Rig, load: Load, round: Round): Promise<Measurement>;
}

/** A number that a reader wants, made of a round's measurements, and what was promised of it. */
export interface Figure {
  name: string;
  title: string;
  unit: string;
  target?: Target;
  /** Undefined where the round lacks one of its scenarios. */
  of(round: Round): number | undefined;
}

export type Target = { atLeast: number } | { atMost: number };

export interface Suite {
  scenarios: readonly Scenario[];
  figures: readonly Figure[];
  /** What a run does unless the command line says otherwise. */
  rounds: number;
  seconds: number;
}
