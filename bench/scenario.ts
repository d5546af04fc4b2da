// A benchmark scenario runs on the rig for a while and returns one number with details. A new one is a file
// in scenarios/ and a line in scenarios/index.ts.

import type { Rig } from './rig.ts';

/** Limits of one measurement; the first one reached ends it. */
export interface Load {
  seconds: number;
  updates: number;
  /** Seconds of the same load before the clock starts. */
  warmUpSeconds: number;
}

export interface Measurement {
  /** In the scenario's unit. */
  value: number;
  /** Lost or doubled updates; anything but 0 makes the whole run fail. */
  difference: number;
  details: Record<string, number>;
  /** Samples over time, if the course matters and not only the end. */
  series?: Record<string, number[]>;
}

/** Measurements of a round so far, by scenario. */
export type Round = ReadonlyMap<string, Measurement>;

export interface Scenario {
  name: string;
  title: string;
  unit: string;
  /** Measured in the first round only, since it does not vary. */
  once?: boolean;
  /** Measures the rig's build, and nothing else of Sluice, so that two builds can be compared. */
  comparable?: boolean;
  run(rig: Rig, load: Load, round: Round): Promise<Measurement>;
}

/** A number for readers, computed from a round's measurements, with its target. */
export interface Figure {
  name: string;
  title: string;
  unit: string;
  target?: Target;
  /** Undefined if the round lacks one of its scenarios. */
  of(round: Round): number | undefined;
}

export type Target = { atLeast: number } | { atMost: number };

export interface Suite {
  scenarios: readonly Scenario[];
  figures: readonly Figure[];
  /** Defaults for options of the command line. */
  rounds: number;
  seconds: number;
}
