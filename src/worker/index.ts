/** `import { Worker } from 'sluice/worker'`: the flush worker for processes that run their own. */

export { type HealthParts as HttpParts, listenForHealth as serve } from '../shared/telemetry/health-port.ts';
export type { WorkerParts } from './assembly.ts';
export type { Readiness } from './readiness.ts';
export { Worker } from './worker.ts';
