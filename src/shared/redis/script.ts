/** Lua scripts as functions, one file each. */
import { Cluster } from 'ioredis';
import type { RedisConnection } from './connections.ts';
import { besideState } from './keys.ts';
import { type PartitionKey, partitionKeys } from './layout.ts';
import { readScript } from './read-script.ts';

export type ScriptArguments = readonly (string | number)[];
export type ScriptCall<Reply> = (stateKey: string, ...args: (string | number)[]) => Promise<Reply>;

/** A script: called with the partition's state key and its arguments. */
export interface Script<Reply> extends ScriptCall<Reply> {
  /** The same script on another connection. */
  on(connection: RedisConnection): ScriptCall<Reply>;
  /** One call for several partitions; undefined on a Cluster, whose partitions are in different slots. */
  readonly ofMany: ((stateKeys: readonly string[], args: ScriptArguments) => Promise<Reply>) | undefined;
}

/**
 * The keys of a partition except its state and last replies. Scripts derive them from the
 * state's name, but on a Cluster they are declared too: while Redis moves their slot, it then refuses the
 * call (TRYAGAIN) before the script starts. Otherwise it would stop the script at the first moved key, after
 * half of its writes.
 */
const SIBLINGS = (Object.keys(partitionKeys) as PartitionKey[]).filter(
  key =>
    key !== 'state' &&
    !key.includes('<') &&
    partitionKeys[key].writers.some(writer => !writer.endsWith('.ts')),
);

/** Reads a Lua file and defines it as a command of the connection. */
export function defineScript<Reply>(connection: RedisConnection, name: string, file: URL): Script<Reply> {
  const command = `sluice_${name}`;
  const lua = readScript(file);
  // Without a Cluster no slot moves (see checkServer), and these names would cost a small call a tenth.
  const declared = connection instanceof Cluster ? SIBLINGS : [];
  const siblings = new Map<string, string[]>();
  /** Its first argument is the number of keys. */
  const commandOf = (target: RedisConnection) => {
    const commands = target as unknown as Record<string, (...args: (string | number)[]) => Promise<Reply>>;
    if (!(command in commands)) target.defineCommand(command, { lua });
    return (...args: (string | number)[]) => commands[command]!(...args);
  };
  const on = (target: RedisConnection): ScriptCall<Reply> => {
    const call = commandOf(target);
    return (stateKey, ...args) => {
      let others = siblings.get(stateKey);
      if (!others) {
        others = declared.map(sibling => besideState(stateKey, sibling));
        siblings.set(stateKey, others);
      }
      return call(1 + others.length, stateKey, ...others, ...args);
    };
  };
  const call = commandOf(connection);
  const ofMany = (stateKeys: readonly string[], args: ScriptArguments) =>
    call(stateKeys.length, ...stateKeys, ...args);
  return Object.assign(on(connection), { on, ofMany: connection instanceof Cluster ? undefined : ofMany });
}

/** A script for connections that come and go: each gets the command at its first call. */
export function scriptFor<Reply>(name: string, file: URL): (connection: RedisConnection) => Script<Reply> {
  const defined = new WeakMap<RedisConnection, Script<Reply>>();
  return connection => {
    const script = defined.get(connection) ?? defineScript<Reply>(connection, name, file);
    defined.set(connection, script);
    return script;
  };
}
