/**
 * A client's updates and their answers, one line each, written before the call and after the answer. After a
 * kill, an update without an answer has an unknown outcome.
 *
 *   i NUMBER KIND NAME KEY AMOUNT [ID [TO]]   asked for; KIND is c (counter), p (points), v (value), hold, post or void; TO
 *                                             of a transfer; of a hold, after how many ms it expires, 0 for never
 *   t NUMBER                                  asked for again, with the same id; a value is put again
 *   a NUMBER                                  acknowledged
 *   r NUMBER CODE                             refused: certainly not applied
 *   u NUMBER CODE                             an error with an unknown outcome
 *   p NUMBER                                  persisted() resolved
 *   c NUMBER                                  credited() resolved
 *   f NUMBER CODE                             persisted() failed
 */
import { openSync, readFileSync, writeSync } from 'node:fs';
import type { Update } from './traffic.ts';

/** Errors that guarantee that nothing was applied; after any other error the outcome is unknown. */
const certain = new Set([
  'REDIS_UNAVAILABLE',
  'REDIS_OUT_OF_MEMORY',
  'DATABASE_UNAVAILABLE',
  'INSUFFICIENT_POINTS',
  'PRODUCER_OVERLOADED',
  'READ_UNSETTLED',
  'TOO_FEW_REPLICAS',
  'BACKPRESSURE',
  'IDEMPOTENCY_KEY_REUSED',
  'UNKNOWN_HOLD',
  'HOLD_ENDED',
  'HOLD_EXCEEDED',
]);

export class Journal {
  readonly #file: number;
  #next = 0;

  constructor(path: string) {
    this.#file = openSync(path, 'a');
  }

  /** Records updates before their call; returns their numbers. */
  ask(updates: readonly Update[]): number[] {
    const numbers = updates.map(() => this.#next++);
    this.#write(updates.map((update, at) => `i ${numbers[at]} ${describe(update)}`));
    return numbers;
  }

  askAgain(...numbers: number[]): void {
    this.#write(numbers.map(number => `t ${number}`));
  }

  acknowledged(...numbers: number[]): void {
    this.#write(numbers.map(number => `a ${number}`));
  }

  /** Records an error; returns whether it guarantees that nothing was applied. HTTP says so with every error. */
  failed(number: number, code: string, isCertain = certain.has(code)): boolean {
    this.#write([`${isCertain ? 'r' : 'u'} ${number} ${code}`]);
    return isCertain;
  }

  persisted(number: number): void {
    this.#write([`p ${number}`]);
  }

  credited(number: number): void {
    this.#write([`c ${number}`]);
  }

  receiptFailed(number: number, code: string): void {
    this.#write([`f ${number} ${code}`]);
  }

  #write(lines: string[]): void {
    writeSync(this.#file, lines.map(line => `${line}\n`).join(''));
  }
}

function describe(update: Update): string {
  if ('value' in update) return ['v', update.value, update.key, update.is].join(' ');
  if ('from' in update)
    return ['p', update.points, update.from, -update.amount, update.id, update.to].join(' ');
  if ('counter' in update) {
    const { counter, key, by = 1, id } = update;
    return ['c', counter, key, by, ...(id ? [id] : [])].join(' ');
  }
  if ('hold' in update) {
    const { points, account, hold, id, expiresInMs = 0 } = update;
    return ['hold', points, account, hold, id, expiresInMs].join(' ');
  }
  if ('post' in update)
    return ['post', update.points, update.account, update.amount ?? 0, update.post].join(' ');
  if ('void' in update) return ['void', update.points, update.account, 0, update.void].join(' ');
  return ['p', update.points, update.account, update.amount, update.id].join(' ');
}

export interface JournalledUpdate {
  readonly kind: 'c' | 'p' | 'v' | 'hold' | 'post' | 'void';
  readonly name: string;
  readonly key: string;
  /** A post of the whole hold has 0, and so has a void. */
  readonly amount: number;
  readonly id: string;
  /** The destination of a transfer. */
  readonly to?: string | undefined;
  /** Only a hold has it; 0 says that it never expires. */
  readonly expiresInMs?: number | undefined;
  outcome: 'open' | 'acknowledged' | 'refused';
  /** An earlier attempt may have been applied. */
  uncertain: boolean;
  /** Asked for more than once. A value is put again, and nobody knows when. */
  repeated: boolean;
  persisted: boolean;
  credited: boolean;
  /** Why persisted() failed; '' if it did not. */
  receiptFailure: string;
  code: string;
}

/** What the client knows about an update. */
export function knownOf(update: JournalledUpdate): 'acknowledged' | 'refused' | 'unknown' {
  if (update.outcome === 'acknowledged') return 'acknowledged';
  return update.outcome === 'open' || update.uncertain ? 'unknown' : 'refused';
}

/** The updates of a journal. A last line that a kill cut off is ignored: its update was never sent. */
export function readJournal(path: string): JournalledUpdate[] {
  const updates: JournalledUpdate[] = [];
  const text = readFileSync(path, 'utf8');
  for (const line of text.slice(0, text.lastIndexOf('\n') + 1).split('\n')) {
    if (line !== '') note(updates, line.split(' '));
  }
  return updates;
}

function note(updates: JournalledUpdate[], [action, number, ...rest]: string[]): void {
  if (action === 'i') {
    const [kind, name, key, amount, id = '', more] = rest;
    const isHold = kind === 'hold';
    updates.push({
      kind: kind as JournalledUpdate['kind'],
      name: name!,
      key: key!,
      amount: Number(amount),
      id,
      to: isHold ? undefined : more,
      expiresInMs: isHold ? Number(more) : undefined,
      outcome: 'open',
      uncertain: false,
      repeated: false,
      persisted: false,
      credited: false,
      receiptFailure: '',
      code: '',
    });
    return;
  }
  const update = updates[Number(number)]!;
  if (action === 't') update.repeated = true;
  if (action === 'p') update.persisted = true;
  if (action === 'c') update.credited = true;
  if (action === 'f') update.receiptFailure = rest[0] ?? '';
  // An acknowledged update stays acknowledged, whatever a repetition is answered.
  if (action === 'p' || action === 'c' || action === 'f' || update.outcome === 'acknowledged') return;
  if (action === 'a') update.outcome = 'acknowledged';
  else if (action === 't') update.outcome = 'open';
  else {
    update.outcome = 'refused';
    update.uncertain ||= action === 'u';
    update.code = rest[0] ?? '';
  }
}
