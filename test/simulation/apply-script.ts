/** apply.lua as one step of the model: it checks a micro-batch in order, then writes. */
import { parseEnded } from '../../src/shared/redis/state.ts';
import { addCounterId, findCounterId } from './counter-ids.ts';
import { touch } from './ranks/scripts.ts';
import { type Drop, findLive, NO_SUM, type State, setLive } from './redis.ts';
import { limits, OUT_OF_MEMORY, type Process, type World } from './world.ts';

const SAFE = Number.MAX_SAFE_INTEGER;

/** One update of a call, as `encodeGroups` writes it. */
interface Argument {
  readonly kind: 'c' | 'p' | 'a';
  readonly item: string;
  readonly amount: number;
  /** A counter's number of updates, an account's floor, or 0 for an amendment. */
  readonly detail: number;
  /** A counter's digest of it. */
  readonly id: string;
  /** Empty for a counter. */
  readonly payload: string;
  readonly uids: readonly number[];
}

/** A caller, whose calls come one after another, and the number of a call. */
export interface CallerId {
  readonly id: string;
  readonly number: number;
}

/** @param updates JSON from `encodeGroups` @param uids updates of each group, for the checker */
export function apply(
  world: World,
  caller: CallerId,
  deadline: number,
  updates: string,
  uids: readonly (readonly number[])[],
  seen: Process['seen'],
): string {
  const { now, redis, bugs } = world;
  if (redis.full) throw OUT_OF_MEMORY;
  const data = redis.data;
  const last = data.last.get(caller.id);
  if (last && last.expires >= now && !bugs.noLastReply) {
    if (last.number === caller.number) return last.reply;
    if (last.number > caller.number && !bugs.noOrder) return `late ${now}`;
  }
  if (now > deadline) return `late ${now}`;
  const { state } = data;
  if (!state) return `absent ${now}`;

  const lost = account(world, state, `${caller.id}.${caller.number}.${++world.redis.time}`, seen);
  const replies: string[] = [];
  let accepted = 0;
  const args = flat(JSON.parse(updates));
  for (let at = 0, group = 0; at < args.length; at += args[at] === 'c' ? 5 : 6, group++) {
    const argument: Argument = {
      kind: args[at] as Argument['kind'],
      item: String(args[at + 1]),
      amount: Number(args[at + 2]),
      detail: Number(args[at + 3]),
      id: String(args[at + 4]),
      payload: args[at] === 'c' ? '' : String(args[at + 5]),
      uids: uids[group]!,
    };
    const before = state.updates;
    replies.push(applyOne(world, state, argument));
    accepted += state.updates - before;
  }
  let armed = 0;
  if (accepted > 0 && state.armedUntil < now) {
    armed = 1;
    state.armedUntil = world.bugs.lostWakeUp ? Number.POSITIVE_INFINITY : now + limits.leaseMs;
  }
  const { epoch, pushed, entryNext, quarantined } = state;
  const reply = `ok ${now} ${epoch} ${armed} ${pushed} ${entryNext} ${quarantined} ${state.sequence} ${state.segmentEnd} ${state.incarnation} ${state.updates} ${lost} ${replies.join(' ')}`;
  data.last.set(caller.id, { number: caller.number, reply, expires: deadline + limits.callTimeoutMs });
  return reply;
}

/** A plain batch, of counters without ids, has arrays of items, amounts and numbers of updates. */
function flat(args: readonly unknown[]): unknown[] {
  if (!Array.isArray(args[0])) return [...args];
  const [items, amounts, numbers] = args as [string[], number[], number[]];
  return items.flatMap((item, at) => ['c', item, amounts[at], numbers[at], '']);
}

/** Notices a new incarnation of Redis; returns the number of updates that the caller knows to be lost. */
function account(world: World, state: State, name: string, seen: Process['seen']): number {
  const ended = parseEnded(state.ended);
  if (state.run !== String(world.redis.run) || state.incarnation === '') {
    const { incarnation, updates: kept } = state;
    if (incarnation !== '') ended.unshift({ incarnation, kept, lost: 0 });
    state.run = String(world.redis.run);
    state.incarnation = name;
  }
  let found = 0;
  const last = ended.find(({ incarnation }) => incarnation === seen.incarnation) ?? ended[0];
  if (last && seen.incarnation !== '' && seen.incarnation !== state.incarnation) {
    found = Math.max(0, seen.updates - last.kept - last.lost);
    last.lost += found;
  }
  state.ended = ended.map(({ incarnation, kept, lost }) => `${incarnation} ${kept} ${lost}`).join(' ');
  return found;
}

/** Decides one update against the running state; returns its result token. */
function applyOne(world: World, state: State, argument: Argument): string {
  const { kind, item, amount, detail, id, payload, uids } = argument;
  const { now } = world;
  const data = world.redis.data;
  const idName = id === '' ? undefined : `${kind}${item} ${id}`;
  const content = kind === 'c' ? String(amount) : payload;
  const find = () => (kind === 'c' ? findCounterId(data, id) : data.ids.get(idName!));
  const known = idName === undefined ? undefined : find();
  if (known !== undefined) {
    const space = known.indexOf(' ');
    return known.slice(space + 1) === content ? `d${known.slice(0, space)}` : 'r';
  }
  const hash = kind === 'c' ? data.counters : data.accounts;
  const pending = hash.get(item);
  const live = findLive(data, kind === 'c' ? 'c' : 'p', item);
  const sum = (pending?.sum ?? 0) + amount;
  const value = live === undefined ? undefined : live + amount;
  if (kind === 'p' && value === undefined) return 'n';
  if (kind === 'p' && amount < 0 && value! < detail) return `f${live}`;
  if (Math.abs(sum) > SAFE || Math.abs(value ?? 0) > SAFE) return 'x';

  const reply = value === undefined ? '-' : String(value);
  const before = pending ?? NO_SUM;
  const count = kind === 'c' ? detail : 1;
  const number = kind !== 'c' ? state.entryNext : pending ? pending.number : state.pushed;
  hash.set(item, { sum, count: before.count + count, number, uids: [...before.uids, ...uids] });
  state.updates += count;
  touch(world, item, amount, value);
  if (value !== undefined) setLive(data, kind === 'c' ? 'c' : 'p', item, { value, usedAt: now });
  if (kind === 'c') {
    if (!pending) {
      data.order.push({ time: now, item });
      state.pushed++;
    }
    if (idName !== undefined) addCounterId(world, id, `${reply} ${content}`);
  } else {
    state.entryNext++;
    const previous = pending?.number ?? data.segmentAccounts.get(item)?.number ?? 0;
    const drops: Drop | undefined = kind === 'a' ? JSON.parse(payload) : undefined;
    data.entries.set(number, { number, previous, time: now, item, amount, id, uid: uids[0] ?? -1, drops });
    if (drops) world.checker.onAmended(world, drops);
    data.entryIds.push(idName!);
    data.ids.set(idName!, `${reply} ${content}`);
  }
  world.checker.onApplied(world, uids);
  return reply;
}
