/** An HTTP API that is killed, stopped, or asked to end while clients use it. */
import { setTimeout as delay } from 'node:timers/promises';
import { between, type Fault, now } from './fault.ts';

export const apiKill: Fault = {
  kind: 'apiKill',
  weight: 1,
  async run({ processes }) {
    const since = now();
    await processes.api.kill();
    return { what: `SIGKILL of ${processes.api.name}`, since, meanwhile: processes.ensure() };
  },
};

export const apiStop: Fault = {
  kind: 'apiStop',
  weight: 1,
  async run({ processes: { api }, random }) {
    // Above and below the patience of its clients, which send again what it has received and not read.
    const ms = between(random, 300, 5000);
    const since = now();
    api.signal('SIGSTOP');
    const meanwhile = delay(ms).then(() => api.signal('SIGCONT'));
    return { what: `${api.name} stopped for ${ms} ms`, since, meanwhile };
  },
};

/** All servers are there, so it must end in order. */
export const apiDrain: Fault = {
  kind: 'apiDrain',
  weight: 1,
  async run({ processes }) {
    const { api } = processes;
    const since = now();
    const code = await api.stop();
    if (code !== 0) throw new Error(`${api.name} ended with ${code} after SIGTERM, not with 0`);
    return { what: `SIGTERM of ${api.name}, started again`, since, meanwhile: processes.ensure() };
  },
};
