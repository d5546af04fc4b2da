// An applied update is never answered as an error, whatever becomes of the wait for MySQL.

import { describe, expect, it } from 'vitest';
import { stateOf, stateOfApplied } from '../../src/http/persistence.ts';
import { written } from '../../src/http/written.ts';
import type { Receipt } from '../../src/producer/receipt.ts';
import {
  DatabaseUnavailableError,
  PersistTimeoutError,
  ProducerClosedError,
  QuarantinedError,
} from '../../src/shared/errors.ts';

const failing = (error: Error) => ({ persisted: () => Promise.reject(error) });
const lost = [new DatabaseUnavailableError('mysql://db'), new ProducerClosedError()];

describe('the state of an update', () => {
  it('that was just applied is "accepted" if it cannot be asked', async () => {
    for (const error of lost) expect(await stateOfApplied(failing(error), 1000)).toBe('accepted');
    expect(await stateOfApplied(failing(new QuarantinedError('views', '1264')), 0)).toBe('quarantined');
    expect(await stateOfApplied(failing(new PersistTimeoutError(1)), 0)).toBe('accepted');
  });

  it('that is asked for by its receipt is an error if it cannot be asked', async () => {
    for (const error of lost) await expect(stateOf(failing(error), 0)).rejects.toBe(error);
  });
});

it('a write whose wait fails is answered with its value', async () => {
  const receipt = { ...failing(lost[0]!), value: 7, duplicate: true, text: 'text' } as unknown as Receipt;
  const reply = { header: () => reply };
  const answer = await written({ reply: reply as never, waitMs: 5000 }, receipt, 201);
  expect(answer).toEqual({
    status: 200,
    body: { value: 7, duplicate: true, state: 'accepted', receipt: 'text' },
  });
});
