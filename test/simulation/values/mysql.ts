/** MySQL as values see it: the tables, and how a batch, a release and a replay write them under the lock. */
import { keptOf } from '../../../src/shared/kept-value.ts';
import { type Decision, decideStepwise } from '../../../src/shared/partition/decision.ts';
import type { ValueBug } from './bugs.ts';
import { ITEMS, type Item, join, type Kept, keep, keepAll, MAPPED, type Put } from './kept.ts';
import type { Amendment, Batch } from './redis.ts';

export interface Watermark {
  readonly sequence: number;
  readonly token: string;
  readonly epoch: string;
  readonly updates: number;
}

/** A row in quarantine. */
export interface Row {
  readonly id: number;
  readonly item: Item;
  readonly kept: Kept;
  readonly cause: 'held' | 'refused';
  /** The only operation that may drop or edit it, and the puts that its operator saw. */
  readonly taken?: { readonly operation: number; readonly to?: number; readonly puts: readonly Put[] };
}

/** What an operation decided: puts that count no more, and the edited one instead. */
export interface Decided {
  readonly gone: readonly Put[];
  readonly item: Item;
  readonly edited?: Put;
}

/** What the commit of a batch found, for its ack. */
export interface Outcome {
  readonly sequence: number;
  readonly reload: ReadonlySet<Item>;
}

/** What a table does with the puts of an item. */
export type Mood = 'takes' | 'refuses' | 'holds';
export type Moods = Record<Item, Mood>;

/** What the model gives to whoever writes. */
export interface Scene {
  readonly moods: Moods;
  readonly bug: ValueBug | undefined;
  newNumber(): number;
  /** For bugs. */
  newVersion(): number;
}

export class Tables {
  watermark: Watermark = { sequence: 0, token: '', epoch: 'e0', updates: 0 };
  journal = new Map<string, Outcome>();
  values = new Map<Item, Kept>();
  quarantine: readonly Row[] = [];
  decided: readonly Decided[] = [];

  copy(): Tables {
    const copy = Object.assign(new Tables(), this);
    copy.journal = new Map(this.journal);
    copy.values = new Map(this.values);
    return copy;
  }

  /** What a cold read finds. */
  stored(item: Item, bug?: ValueBug): Kept | undefined {
    const value = this.values.get(item);
    const rows = this.quarantine.filter(row => row.item === item).map(({ kept }) => kept);
    if (bug === 'loadPlain') return value;
    const waiting = bug === 'loadNewest' ? rows.at(-1) : keepAll(item, rows);
    return waiting ? keep(item, value, waiting) : value;
  }

  /** @param isBlind whether versions are not compared */
  write(item: Item, put: Kept, bug: ValueBug | undefined, isBlind = false): void {
    const before = this.values.get(item);
    const isReplaced = isBlind && item[0] === '=';
    const kept = before && isReplaced ? join(before, put, put) : keep(item, before, put);
    const forgets = bug === 'mappedForgets' && item === MAPPED;
    this.values.set(item, forgets ? { ...kept, version: 0 } : kept);
  }

  row(id: number): Row | undefined {
    return this.quarantine.find(row => row.id === id);
  }

  remove(...ids: readonly number[]): void {
    this.quarantine = this.quarantine.filter(({ id }) => !ids.includes(id));
  }

  replace(row: Row): void {
    this.quarantine = this.quarantine.map(other => (other.id === row.id ? row : other));
  }

  putBack(row: Row): void {
    this.quarantine = [...this.quarantine, row].sort((one, other) => one.id - other.id);
  }

  add(row: Row): void {
    this.quarantine = [...this.quarantine, row];
  }

  /** The table of decisions, with the answers that it asks for. */
  decide(batch: Batch, inFlight: boolean): Decision {
    const steps = decideStepwise(batch, this.watermark);
    const facts = {
      recorded: () => this.journal.has(batch.token),
      inFlight: () => inFlight,
      oldestInJournal: () => Math.min(...[...this.journal.values()].map(({ sequence }) => sequence)),
    };
    let step = steps.next();
    while (!step.done) step = steps.next(facts[step.value]());
    return step.value;
  }
}

/** Writes a batch and moves the watermark. */
export function writeBatch(tables: Tables, scene: Scene, { puts, amendments, ...batch }: Batch): Outcome {
  const reload = new Set<Item>();
  for (const [item, claimed] of puts) {
    const isLast = item[0] === '=';
    const put = isLast && scene.bug === 'bySequence' ? { ...claimed, version: batch.sequence } : claimed;
    const before = tables.values.get(item);
    if (isLast && before && keptOf('=', before, put) === before) reload.add(item);
    const isHeld = tables.quarantine.some(row => row.item === item && row.cause === 'held');
    if (isHeld || scene.moods[item] === 'holds') hold(tables, scene, item, put);
    else if (scene.moods[item] === 'refuses') setAside(tables, scene, item, put, 'refused');
    else tables.write(item, put, scene.bug);
  }
  for (const amendment of amendments) if (amend(tables, scene, amendment)) reload.add(amendment.item);
  const { sequence, token, epoch, claimed } = batch;
  const outcome = { sequence, reload };
  tables.watermark = { sequence, token, epoch, updates: claimed };
  tables.journal.set(token, outcome);
  return outcome;
}

function setAside(tables: Tables, scene: Scene, item: Item, put: Kept, cause: Row['cause']): void {
  const kept = scene.bug === 'quarantineForgets' ? { ...put, version: 0 } : put;
  tables.add({ id: scene.newNumber(), item, kept, cause });
}

/** Merges into the newest held row of the key, unless an operation has taken it. */
function hold(tables: Tables, scene: Scene, item: Item, put: Kept): void {
  const { bug } = scene;
  const row = tables.quarantine.findLast(other => other.item === item && other.cause === 'held');
  const isOpen = row && (!row.taken || bug === 'mergeTaken');
  if (!isOpen) {
    setAside(tables, scene, item, put, 'held');
    return;
  }
  let kept = keep(item, row.kept, put);
  if (bug === 'heldSum') kept = { ...kept, value: row.kept.value + put.value };
  if (bug === 'heldNewest') kept = { ...kept, value: put.value, version: put.version };
  if (bug === 'heldForgets') kept = { ...kept, version: row.kept.version };
  tables.replace({ ...row, kept });
}

/** @returns whether the live value must be read anew */
function amend(tables: Tables, scene: Scene, { item, row: id, operation, to }: Amendment): boolean {
  const { bug, moods } = scene;
  const row = tables.row(id);
  if (row?.taken?.operation !== operation) return true;
  const gone = row.taken.puts;
  tables.remove(id);
  if (to === undefined) {
    tables.decided = [...tables.decided, { gone, item }];
    return bug !== 'dropLive';
  }
  const edited = { value: to, rank: Math.max(...row.kept.puts.map(({ rank }) => rank)) };
  tables.decided = [...tables.decided, { gone, item, edited }];
  const version = bug === 'editVersion' && item[0] === '=' ? scene.newVersion() : row.kept.version;
  const kept = { ...row.kept, value: to, version, puts: [edited] };
  if (moods[item] === 'takes') tables.write(item, kept, bug, bug === 'editBlind');
  else tables.putBack({ id, item, kept, cause: moods[item] === 'holds' ? 'held' : 'refused' });
  return bug !== 'editLive';
}

/** Writes held rows of keys whose table takes rows. */
export function release(tables: Tables, { moods, bug }: Scene): void {
  for (const item of ITEMS) {
    const isFree = (row: Row) => row.item === item && row.cause === 'held' && !row.taken;
    const rows = tables.quarantine.filter(isFree);
    if (rows.length === 0 || moods[item] === 'holds') continue;
    if (moods[item] === 'refuses') {
      for (const row of rows) tables.replace({ ...row, cause: 'refused' });
      continue;
    }
    let kept = keepAll(
      item,
      rows.map(row => row.kept),
    )!;
    if (bug === 'releaseNewest') kept = { ...kept, ...pick(rows.at(-1)!.kept) };
    tables.write(item, kept, bug, bug === 'releaseBlind');
    tables.remove(...rows.map(({ id }) => id));
  }
}

function pick({ value, version }: Kept): Pick<Kept, 'value' | 'version'> {
  return { value, version };
}

/** @returns whether it changed anything */
export function replay(tables: Tables, scene: Scene, id: number): boolean {
  const { moods, bug } = scene;
  const row = tables.row(id);
  if (!row || row.taken || moods[row.item] !== 'takes') return false;
  const { item, kept } = row;
  const version = bug === 'quarantineForgets' && item[0] === '=' ? scene.newVersion() : kept.version;
  tables.write(item, { ...kept, version }, bug, bug === 'replayBlind');
  tables.remove(id);
  return true;
}
