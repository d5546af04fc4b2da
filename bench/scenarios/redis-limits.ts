// The upper limit of Redis: redis-benchmark on the same server, pipelined, with one HINCRBY per update and
// nothing else, bare and inside a script.

import { measureCommand } from '../redis-benchmark.ts';
import type { Scenario } from '../scenario.ts';

export const hincrby: Scenario = {
  name: 'hincrby',
  title: 'limit: redis-benchmark, pipelined HINCRBY over 100,000 fields',
  unit: 'commands/s',
  run: (rig, load) => measureCommand(rig, load, async (hash, field) => ['HINCRBY', hash, field, '1']),
};

const SCRIPT = "return redis.call('HINCRBY', KEYS[1], ARGV[1], ARGV[2])";

export const evalsha: Scenario = {
  name: 'evalsha',
  title: 'limit: redis-benchmark, pipelined EVALSHA of that HINCRBY',
  unit: 'commands/s',
  run: (rig, load) =>
    measureCommand(rig, load, async (hash, field, redis) => {
      const sha = (await redis.script('LOAD', SCRIPT)) as string;
      return ['EVALSHA', sha, '1', hash, field, '1'];
    }),
};
