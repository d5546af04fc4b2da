/** Lua scripts as functions: one file each, called with the partition's state key and arguments. */
import { Cluster } from 'ioredis';
import type { RedisConnection } from './connections.ts';
import { besideState } from './keys.ts';
import { type PartitionKey, partitionKeys } from './layout.ts';
import { readScript } from './read-script.ts';

export type ScriptCall<Reply> = (stateKey: string, ...args: (string | number)[]) => Promise<Reply>;

/** A script: called with the partition's state key and its arguments. */
export interface Script<Reply> extends ScriptCall<Reply> {
  /** The same on another connection. */
  on(connection: RedisConnection): ScriptCall<Reply>;
}

/**
 * The keys of a partition beside its state, live values and last replies. Scripts derive them from the state's name, but in a
 * Cluster they are declared all the same: while it moves their slot, Redis then refuses the call (TRYAGAIN) before the
 * script starts, instead of stopping it at the first key that has moved, with half of its writes done.
 */
const SIBLINGS = (Object.keys(partitionKeys) as PartitionKey[]).filter(
  key =>
    key !== 'state' &&
    !key.includes('<') &&
    partitionKeys[key].writers.some(writer => !writer.endsWith('.ts')),
);

/** Loads the Lua file beside the calling module and defines it on the connection under its own name. */
export function defineScript<Reply>(connection: RedisConnection, name: string, file: URL): Script<Reply> {
  const command = `sluice_${name}`;
  const lua = readScript(file);
  // Elsewhere no slot moves (see checkServer), and a dozen names more would cost a small call a tenth of its time.
  const declared = connection instanceof Cluster ? SIBLINGS : [];
  const siblings = new Map<string, string[]>();
  const on = (target: RedisConnection): ScriptCall<Reply> => {
    const commands = target as unknown as Record<string, (...args: (string | number)[]) => Promise<Reply>>;
    if (!(command in commands)) target.defineCommand(command, { numberOfKeys: 1 + declared.length, lua });
    return (stateKey, ...args) => {
      let others = siblings.get(stateKey);
      if (!others) {
        others = declared.map(sibling => besideState(stateKey, sibling));
        siblings.set(stateKey, others);
      }
      return commands[command]!(stateKey, ...others, ...args);
    };
  };
  return Object.assign(on(connection), { on });
}
