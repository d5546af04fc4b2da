// The HTTP API beside what it is made of: a bare route of fastify, and the producer in process.

import { measureDetail, microBatches, zipfCounters } from '../engine.ts';
import { measureBare, measureHttp } from '../http-api.ts';
import type { Scenario } from '../scenario.ts';

const single = { mode: 'single', connections: 64 } as const;

export const http: readonly Scenario[] = [
  {
    name: 'bare-route',
    title: 'a bare fastify route, one update a request, 64 connections',
    unit: 'requests/s',
    run: (rig, load) => measureBare(rig, load, single),
  },
  {
    name: 'http-single',
    title: 'sluice serve, one update a request, 64 connections',
    unit: 'requests/s',
    run: (rig, load) => measureHttp(rig, load, single),
  },
  {
    name: 'http-half-rate',
    title: 'the same at half of that rate: p99 of a request',
    unit: 'ms',
    async run(rig, load, round) {
      const perSecond = Math.max(1, Math.floor((round.get('http-single')?.value ?? 10_000) / 2));
      const measured = await measureHttp(rig, load, { ...single, perSecond });
      return { ...measured, value: measured.details.p99Ms! };
    },
  },
  {
    name: 'in-process',
    title: 'sluice.apply in process, 1,000 updates a call',
    unit: 'updates/s',
    run: (rig, load) =>
      measureDetail(rig, load, { ...microBatches, traffic: zipfCounters }, 'acknowledgedPerSecond'),
  },
  {
    name: 'http-arrays',
    title: 'sluice serve, arrays of 1,000 updates, 4 connections',
    unit: 'updates/s',
    run: (rig, load) => measureHttp(rig, load, { mode: 'array', connections: 4 }),
  },
  {
    name: 'http-lines',
    title: 'sluice serve, one stream of NDJSON',
    unit: 'updates/s',
    run: (rig, load) => measureHttp(rig, load, { mode: 'lines', connections: 1 }),
  },
];
