/** Workers and producers that are killed, or stopped for a while so that others take over their work. */
import { setTimeout as delay } from 'node:timers/promises';
import { between, type Fault, now, oneOf, type Scene } from './fault.ts';

/** Short stops are frequent, the longest is rare. */
function stopTime({ random }: Scene): number {
  return Math.round(1000 + 7000 * random() ** 3);
}

export const workerKill: Fault = {
  kind: 'workerKill',
  async run({ processes, random }) {
    const victim = oneOf(random, processes.workers);
    const since = now();
    await victim.kill();
    return { what: `SIGKILL of ${victim.name}`, since, meanwhile: processes.ensure() };
  },
};

/** No worker is left to take over. The time that processes need to start does not count. */
export const allWorkersKill: Fault = {
  kind: 'allWorkersKill',
  weight: 1,
  async run({ processes }) {
    await Promise.all(processes.workers.map(worker => worker.kill()));
    await processes.ensure();
    return { what: 'SIGKILL of both workers, started again', since: now() };
  },
};

export const workerStop: Fault = {
  kind: 'workerStop',
  async run(scene) {
    const victim = oneOf(scene.random, scene.processes.workers);
    const ms = stopTime(scene);
    const since = now();
    victim.signal('SIGSTOP');
    const meanwhile = delay(ms).then(() => victim.signal('SIGCONT'));
    return { what: `${victim.name} stopped for ${ms} ms`, since, meanwhile };
  },
};

export const producerKill: Fault = {
  kind: 'producerKill',
  async run({ processes, random }) {
    const victim = oneOf(random, processes.producers);
    const since = now();
    await victim.kill();
    return { what: `SIGKILL of ${victim.name}`, since, meanwhile: processes.ensure() };
  },
};

export const producerStop: Fault = {
  kind: 'producerStop',
  async run({ processes, random }) {
    const victim = oneOf(random, processes.producers);
    // Above and below the timeout of its calls.
    const ms = between(random, 300, 3000);
    const since = now();
    victim.signal('SIGSTOP');
    const meanwhile = delay(ms).then(() => victim.signal('SIGCONT'));
    return { what: `${victim.name} stopped for ${ms} ms`, since, meanwhile };
  },
};
