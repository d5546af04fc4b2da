/** The shop's queues as numbers: jobs by state, asked when metrics are read. */
import type { Queue } from 'bullmq';
import { Gauge } from 'prom-client';
import type { Shop } from '../shop.ts';

const STATES = ['wait', 'active', 'delayed', 'failed'] as const;

export function watchQueues({ registry }: Shop, queues: readonly Queue[]): void {
  new Gauge({
    name: 'shop_queue_jobs',
    help: 'Jobs of a queue by state. Failed ones wait for an operator.',
    labelNames: ['queue', 'state'],
    registers: [registry],
    async collect() {
      const counting = queues.map(async queue => {
        const counts = await queue.getJobCounts(...STATES);
        for (const state of STATES) this.set({ queue: queue.name, state }, counts[state] ?? 0);
      });
      // While Redis is away, the last numbers would be wrong ones.
      await Promise.all(counting).catch(() => this.reset());
    },
  });
}
