/** Takes one sample a second for all pages together, and keeps those of the last hour. */
import type { Sample } from './answers.ts';

export class Sampler {
  /** Undefined until the first one is taken. */
  readonly latest: Sample | undefined;
}
