/** The figures of the last hour, in steps of some seconds, as columns for the charts. */
import type { History, Sample } from './answers.ts';

const STEP_SECONDS = 5;
const STEPS = 720;

type Column = Exclude<keyof History, 'source'>;
type Row = Record<Column, number | null> & { readonly times: number };

export class SampleHistory {
  readonly #rows: Row[] = [];
  #step: Sample[] = [];

  add(sample: Sample): void {
    const step = stepOf(sample);
    if (this.#step.length > 0 && stepOf(this.#step[0]!) !== step) {
      this.#rows.push(rowOf(this.#step));
      if (this.#rows.length > STEPS) this.#rows.shift();
      this.#step = [];
    }
    this.#step.push(sample);
  }

  /** @param minutes the last ones */
  columns(minutes: number): History {
    const rows = this.#rows.slice(-Math.ceil((minutes * 60) / STEP_SECONDS));
    const column = (name: Column) => rows.map(row => row[name]);
    return {
      source: 'memory',
      times: rows.map(({ times }) => times),
      accepted: column('accepted'),
      flushed: column('flushed'),
      lag: column('lag'),
      backlog: column('backlog'),
      memory: column('memory'),
    };
  }
}

function stepOf({ at }: Sample): number {
  return Math.floor(Date.parse(at) / 1000 / STEP_SECONDS);
}

/** Rates are means of the step, the others their worst. */
function rowOf(samples: readonly Sample[]): Row {
  return {
    times: stepOf(samples[0]!) * STEP_SECONDS,
    accepted: mean(samples.map(({ acceptedPerSecond }) => acceptedPerSecond)),
    flushed: mean(samples.map(({ flushedPerSecond }) => flushedPerSecond)),
    lag: worst(samples.map(({ lagSeconds }) => lagSeconds)),
    backlog: worst(samples.map(({ backlog }) => backlog)),
    memory: worst(samples.map(({ memory }) => memory?.used ?? null)),
  };
}

function mean(values: readonly (number | null)[]): number | null {
  const known = values.filter(value => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}

function worst(values: readonly (number | null)[]): number | null {
  const known = values.filter(value => value !== null);
  return known.length === 0 ? null : Math.max(...known);
}
