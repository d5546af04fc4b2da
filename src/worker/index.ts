/** `import { Worker } from 'sluice/worker'`: the flush worker for processes that run their own. */
export type { WorkerParts } from './assembly.ts';
export { type HttpParts, type Readiness, serve } from './http.ts';
export { Worker } from './worker.ts';
