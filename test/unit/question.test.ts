// A question to a server that many ask: one request at a time serves all who wait.

import { expect, it } from 'vitest';
import { Question } from '../../src/shared/question.ts';

function openQuestion(freshMs = 0) {
  const asked: { answer(value: number): void; fail(): void }[] = [];
  const ask = () =>
    new Promise<number>((answer, reject) => {
      asked.push({ answer, fail: () => reject(new Error('away')) });
    });
  return { asked, question: new Question(ask, freshMs) };
}

it('a question is asked once at a time, and its answer serves everyone who waits', async () => {
  const { asked, question } = openQuestion();
  expect(await question.answer(1)).toBeUndefined();
  const waiting = [question.answer(10_000), question.answer(10_000)];
  expect(asked).toHaveLength(1);
  asked[0]!.answer(7);
  expect(await Promise.all(waiting)).toEqual([7, 7]);
  const next = question.answer(10_000);
  expect(asked).toHaveLength(2);
  asked[1]!.fail();
  expect(await next).toBeUndefined();
  void question.answer(1);
  expect(asked).toHaveLength(3);
});

it('a fresh answer is given again', async () => {
  const { asked, question } = openQuestion(60_000);
  const first = question.answer(10_000);
  asked[0]!.answer(7);
  expect([await first, await question.answer(10_000)]).toEqual([7, 7]);
  expect(asked).toHaveLength(1);
});
