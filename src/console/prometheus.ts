/** The figures of the charts from a Prometheus server, which remembers them for longer than the console runs. */
import type { Logger } from 'pino';
import type { PrometheusServer } from '../shared/config/console.ts';
import type { History } from './answers.ts';

const TIMEOUT_MS = 3000;
/** Most points of a chart. */
const POINTS = 720;

/** Expressions as those of deploy/grafana. */
const EXPRESSIONS = {
  accepted: 'sum(rate(sluice_accepted_updates_total{duplicate="false"}[1m]))',
  flushed: 'sum(rate(sluice_flushed_updates_total[1m]))',
  lag: 'max(sluice_flush_lag_seconds)',
  backlog:
    'sum(max by (partition) (sluice_pending_updates)) + sum(max by (partition) (sluice_in_flight_updates))',
  memory: 'max(sluice_redis_memory_used_bytes)',
} as const;

type Values = readonly (readonly [seconds: number, value: string])[];

/** Undefined if the server does not answer, or has no such metrics. */
export async function prometheusHistory(
  server: PrometheusServer,
  minutes: number,
  log: Logger,
): Promise<History | undefined> {
  const step = Math.max(5, Math.ceil((minutes * 60) / POINTS));
  const end = Math.floor(Date.now() / 1000 / step) * step;
  const start = end - minutes * 60;
  const ask = async (expression: string) => {
    const query = new URLSearchParams({
      query: expression,
      start: `${start}`,
      end: `${end}`,
      step: `${step}`,
    });
    const headers: Record<string, string> = server.authorization
      ? { authorization: server.authorization }
      : {};
    const url = `${server.url.replace(/\/$/, '')}/api/v1/query_range?${query}`;
    const answer = await fetch(url, { headers, signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'error' });
    if (!answer.ok) throw new Error(`Prometheus answered ${answer.status}`);
    const { data } = (await answer.json()) as { data: { result: readonly { values: Values }[] } };
    return new Map((data.result[0]?.values ?? []).map(([at, value]) => [at, Number(value)]));
  };
  try {
    const names = Object.keys(EXPRESSIONS) as (keyof typeof EXPRESSIONS)[];
    const found = await Promise.all(names.map(name => ask(EXPRESSIONS[name])));
    if (found.every(({ size }) => size === 0)) return undefined;
    const times = Array.from({ length: Math.floor((end - start) / step) + 1 }, (_, at) => start + at * step);
    const column = (at: number) => times.map(time => known(found[at]!.get(time)));
    const [accepted, flushed, lag, backlog, memory] = names.map((_, at) => column(at));
    return {
      source: 'prometheus',
      times,
      accepted: accepted!,
      flushed: flushed!,
      lag: lag!,
      backlog: backlog!,
      memory: memory!,
    };
  } catch (error) {
    log.warn({ err: error }, 'Prometheus did not answer; the charts show what the console has seen itself');
    return undefined;
  }
}

function known(value: number | undefined): number | null {
  return value === undefined || !Number.isFinite(value) ? null : value;
}
