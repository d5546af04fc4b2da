/** `import { Worker } from 'sluice/worker'`: the flush worker for processes that run their own. */
export { type HttpParts, type Readiness, serve } from './http.ts';
export { Worker, type WorkerParts } from './worker.ts';
