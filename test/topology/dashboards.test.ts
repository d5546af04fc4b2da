// Every panel of every dashboard has values in a real Prometheus that scrapes workers and a busy service.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { dashboards, expressions } from '../../deploy/grafana/dashboards.ts';
import { TYPESCRIPT } from '../../scripts/load/typescript.ts';
import { freePort } from '../../scripts/servers.ts';
import { insertUnfinished } from '../support/backfill-process.ts';
import { cleanUp } from '../support/cleanup.ts';
import { openDeployment, type Running, start } from '../support/command.ts';
import { until } from '../support/engine.ts';
import { prometheusBinary } from '../support/prometheus.ts';
import { ownServers } from '../support/servers.ts';

const definitions = {
  counters: { page_views: { ranked: true } },
  points: { loyalty: { floor: 0 } },
} as const;
const rules = (name: string) =>
  fileURLToPath(new URL(`../../deploy/prometheus/${name}.yml`, import.meta.url));

function endAfterTest(running: Running): Running {
  cleanUp(async () => {
    running.child.kill('SIGKILL');
    await running.ended;
  });
  return running;
}

async function startPrometheus(folder: string, targets: Record<string, number[]>): Promise<string> {
  const jobs = Object.entries(targets).map(
    ([job, ports]) =>
      `  - job_name: ${job}\n    static_configs:\n      - targets: [${ports.map(port => `"127.0.0.1:${port}"`).join(', ')}]\n`,
  );
  const config = join(folder, 'prometheus.yml');
  writeFileSync(
    config,
    `global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: ["${rules('recording')}", "${rules('alerts')}"]\nscrape_configs:\n${jobs.join('')}`,
  );
  const port = await freePort();
  const running = endAfterTest(
    start(
      prometheusBinary!,
      [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      {},
    ),
  );
  const url = `http://127.0.0.1:${port}`;
  const ready = async () => {
    if (running.child.exitCode !== null) throw new Error(`prometheus ended: ${running.stderr()}`);
    return (await fetch(`${url}/-/ready`).catch(() => undefined))?.ok === true;
  };
  await until(ready, 'Prometheus');
  return url;
}

interface Answer {
  status: string;
  error?: string;
  data?: { result: { metric: Record<string, string>; value: [number, string] }[] };
}

it.skipIf(!prometheusBinary)(
  'every panel shows values while there is load',
  async () => {
    const { servers } = await ownServers();
    const deployment = await openDeployment(definitions, { servers, migrated: true });
    await insertUnfinished(deployment.database);
    const settings = { SLUICE_VERIFY_INTERVAL_MS: '500' };
    const workers = [await deployment.worker(settings), await deployment.worker(settings)];
    const service = endAfterTest(
      start(process.execPath, [...TYPESCRIPT, 'test/support/load-service.ts'], deployment.env),
    );
    await until(() => {
      if (service.child.exitCode !== null) throw new Error(service.stderr());
      return service.stdout().includes('\n');
    }, 'the service');
    const api = await deployment.serve(settings);
    const asking = setInterval(() => {
      const headers = { authorization: `Bearer ${api.key}` };
      for (const name of ['page_views', 'nope'])
        void fetch(`${api.base}/v1/counters/${name}?key=a`, { headers }).catch(() => {});
    }, 100);
    cleanUp(async () => clearInterval(asking));
    const url = await startPrometheus(deployment.folder, {
      'sluice-worker': workers.map(worker => worker.port),
      'sluice-producer': [Number(service.stdout())],
      'sluice-api': [Number(new URL(api.healthBase).port)],
    });
    const ask = async (expression: string): Promise<Answer> => {
      const query = expression.replaceAll('$__rate_interval', '10s');
      const response = await fetch(`${url}/api/v1/query?${new URLSearchParams({ query })}`);
      return (await response.json()) as Answer;
    };
    const wanted = Object.values(dashboards).flatMap(expressions);
    expect(wanted.length).toBeGreaterThan(50);
    let lacking: string[] = [];
    const complete = async () => {
      const answers = await Promise.all(
        wanted.map(async one => ({ ...one, answer: await ask(one.expression) })),
      );
      for (const { panel, answer } of answers) expect(answer.error, panel).toBeUndefined();
      lacking = answers
        .filter(({ answer }) => !answer.data!.result.some(({ value }) => Number.isFinite(Number(value[1]))))
        .map(({ panel, expression }) => `${panel}: ${expression}`);
      return lacking.length === 0;
    };
    await until(complete, 'a value in every panel').catch(error => {
      throw new Error(`${error.message}; without one: ${lacking.join('\n')}`);
    });

    // Global gauges are not summed over the two workers; metrics of a process are.
    const one = async (expression: string) => Number((await ask(expression)).data!.result[0]!.value[1]);
    expect(await one('count(sluice_batch_sequence)')).toBe(8);
    expect(await one('count(max by (partition) (sluice_batch_sequence))')).toBe(4);
    expect(await one('max(sluice_queue_depth{state="failed"})')).toBe(0);
    // The lag depends on the machine.
    const firing = (await ask('ALERTS{alertstate="firing",alertname!~"SluiceLag.*"}')).data!.result.map(
      ({ metric }) => metric.alertname,
    );
    expect(firing).toEqual([]);
  },
  120_000,
);
