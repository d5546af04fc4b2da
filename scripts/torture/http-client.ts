/** The program of a client of the HTTP API in a torture. It ends when it is told to, or with its parent. */
import { setTimeout as delay } from 'node:timers/promises';
import { HoldTraffic } from './hold-traffic.ts';
import { Caller, type ClientPlan, portIn } from './http-caller.ts';
import { closeConnections } from './http-request.ts';
import { Journal } from './journal.ts';
import { Traffic } from './traffic.ts';

async function produce(plan: ClientPlan): Promise<void> {
  const journal = new Journal(plan.journal);
  while (portIn(plan.addressFile) === undefined) await delay(20);
  const traffic = new Traffic(plan.name, plan.seed);
  let count = 0;
  const runs = () => `${plan.name}-${count++}`;
  const shared = { plan, journal, traffic, holds: new HoldTraffic(plan.name, traffic.random), runs };
  const made = Array.from({ length: plan.callers }, (_, number) => new Caller(shared, number));
  process.on('message', message => {
    if (message === 'stop') for (const caller of made) caller.stop();
  });
  process.send?.('ready');
  await Promise.all(made.map(caller => caller.run()));
  closeConnections();
  process.disconnect?.();
}

process.once('disconnect', () => process.exit());
produce(JSON.parse(process.argv[2]!)).catch(error => {
  console.error(error);
  process.exit(1);
});
