/** A worker's build of a board, which any worker may continue; keys that never end; and others who write beside. */
import { apply } from '../apply-script.ts';
import { locked, transaction } from '../database.ts';
import { openSession, type Session } from '../mysql.ts';
import { addJob } from '../shared-scripts.ts';
import { limits, type Process, redis, type Steps, sleep, sql, type World } from '../world.ts';
import {
  after,
  begin,
  drop,
  isReady,
  loadNoted,
  lookAt,
  type Page,
  type Place,
  repair,
  writePage,
} from './scripts.ts';

/** Tries before a page is read and written while the watermark is held. */
const PLAIN_TRIES = 2;

/** Only for a bug: where the process believes the build to be. */
interface Memory {
  place: Place | undefined;
}

export function* build(world: World, me: Process): Steps<void> {
  const memory: Memory = { place: undefined };
  for (;;) {
    let isBusy = false;
    if (world.now >= world.ranked!.from) {
      try {
        isBusy = yield* buildOn(world, me, memory);
      } catch (error) {
        if (error instanceof Error) throw error;
      }
    }
    yield* sleep(world, isBusy ? 1 : 2 + world.choices.below(10));
  }
}

/** One step of the build; returns whether there is more to do now. */
function* buildOn(world: World, me: Process, memory: Memory): Steps<boolean> {
  const { bugs } = world.ranked!;
  const look = yield* redis('look at the board', () => lookAt(world));
  if (!look) return false;
  const { phase } = look.place;
  if (phase === 'none') yield* redis('begin a build', () => begin(world));
  else if (phase === 'walk')
    yield* walk(world, me, bugs.ownCursor ? remember(look.place, memory) : look.place, memory);
  else if (look.noted.length > 0) yield* onPage(world, me, look.noted, page => loadNoted(world, page));
  return phase !== 'ready' && phase !== 'wait';
}

function remember(place: Place, memory: Memory): Place {
  if (memory.place?.epoch !== place.epoch) memory.place = place;
  return memory.place!;
}

/** Reads the next keys, then their values. */
function* walk(world: World, me: Process, place: Place, memory: Memory): Steps<void> {
  const session = openSession(world, me.name);
  const items: string[] = yield* sql(session, 'read keys', () => itemsAfter(world, place));
  const cursor = after(world, place, items.at(-1));
  // So slow that others may end this build, and begin the next one.
  if (place.cursor === 't' && world.choices.chance(0.2)) yield* sleep(world, 50 + world.choices.below(150));
  const reply = yield* onPage(world, me, items, page => writePage(world, place, page, cursor));
  if (reply === 'ok') memory.place = { ...place, cursor };
}

/** Reads values with the watermark, then writes them: the third time while nobody can move the watermark. */
function* onPage(
  world: World,
  me: Process,
  items: readonly string[],
  write: (page: Page) => 'ok' | 'again' | 'moved',
): Steps<'ok' | 'again' | 'moved'> {
  function* once(session: Session): Steps<'ok' | 'again' | 'moved'> {
    const page = yield* read(world, session, items);
    return yield* redis('write a page', () => write(page));
  }
  for (let tries = 0; ; tries++) {
    const reply =
      tries < PLAIN_TRIES
        ? yield* once(openSession(world, me.name))
        : yield* transaction(world, me, function* (session) {
            yield* locked(world, session, 'share');
            return yield* once(session);
          });
    if (reply !== 'again' || tries === PLAIN_TRIES) return reply;
  }
}

function* read(world: World, session: Session, items: readonly string[]): Steps<Page> {
  return yield* sql(session, 'read values and the watermark', () => {
    const { values, aside, watermark } = world.mysql;
    const rows = items.map(item => ({
      item,
      value: (values.get(item) ?? 0) + (aside.get(item) ?? 0),
      writes: world.ranked!.written.get(item) ?? 0,
    }));
    return { watermark, rows };
  });
}

/** The next items of the table or of the quarantine. */
function itemsAfter({ mysql, ranked }: World, { cursor }: Place): string[] {
  const items = cursor[0] === 't' ? [...mysql.values.keys()] : mysql.refused.map(({ item }) => item);
  return [...new Set(items)]
    .filter(item => item.startsWith(ranked!.prefix) && item > cursor.slice(1))
    .sort()
    .slice(0, ranked!.page);
}

/** An operator has a board built again, or drops it, and a worker builds it anew. */
export function* rebuild(world: World): Steps<void> {
  const { choices } = world;
  for (;;) {
    yield* sleep(world, 20 + choices.below(100));
    if (world.calm) continue;
    const again = choices.chance(0.7);
    try {
      yield* redis(again ? 'build again' : 'drop', () => (again ? begin(world, true) : drop(world)));
    } catch (error) {
      if (error instanceof Error) throw error;
    }
  }
}

/** Counters that no user has, so that others may change them behind the checker's back. */
const OTHERS = ['m', 'x'];

/** Whether no user has the item. */
function isOthers(item: string): boolean {
  return /:(n\d+|m|x)$/.test(item);
}

function newKey({ choices }: World): string {
  return `n${choices.below(300)}`;
}

/** Updates of keys that no user has, most of them new; when the faults are over, until a board is ready. */
export function* stream(world: World, me: Process): Steps<void> {
  const { choices } = world;
  for (;;) {
    const isClosing = world.calm && world.redis.data.ranks.phase === 'close';
    yield* sleep(world, isClosing ? 1 : 15 + choices.below(50));
    if (world.calm && isReady(world)) continue;
    const caller = { id: `${me.name}.${me.life}`, number: ++me.calls };
    const keys = Array.from({ length: 2 + choices.below(3) }, () =>
      choices.chance(0.3) ? choices.pick(OTHERS) : newKey(world),
    );
    const written = [...world.ranked!.written.keys()];
    const items = [...new Set(keys)].map(key => world.ranked!.prefix + key);
    if (written.length > 0) items[0] = choices.pick(written);
    const one = items.map(() => 1);
    const updates = JSON.stringify([items, one, one]);
    try {
      const until = world.now + limits.callTimeoutMs;
      const text = yield* redis('apply', () =>
        apply(
          world,
          caller,
          until,
          updates,
          items.map(() => []),
          me.seen,
        ),
      );
      if (/^ok \S+ \S+ 1/.test(text))
        yield* redis('add job', () => addJob(world, limits.flushIntervalMs, me.name));
    } catch (error) {
      if (error instanceof Error) throw error;
    }
  }
}

/** Others write into the mapped column. An operator finds the difference and repairs it. */
export function* writeBeside(world: World, me: Process): Steps<void> {
  const { choices, ranked } = world;
  for (;;) {
    yield* sleep(world, choices.below(ranked!.pauseMs));
    if (world.calm) continue;
    const noted = [...world.redis.data.ranks.noted].filter(isOthers);
    const key = choices.chance(0.5) ? choices.pick(OTHERS) : newKey(world);
    const item = noted.length > 0 && choices.chance(0.6) ? choices.pick(noted) : ranked!.prefix + key;
    try {
      const written = yield* sql(openSession(world, me.name), 'others write', () => {
        // A transaction has locked the row.
        if (world.mysql.holder?.draft?.values.has(item)) return false;
        world.mysql.values.set(item, (world.mysql.values.get(item) ?? 0) + 500);
        ranked!.written.set(item, (ranked!.written.get(item) ?? 0) + 1);
        return true;
      });
      if (!written || choices.chance(0.4)) continue;
      const page = yield* read(world, openSession(world, me.name), [item]);
      yield* redis('repair', () => repair(world, page));
    } catch (error) {
      if (error instanceof Error) throw error;
    }
  }
}
