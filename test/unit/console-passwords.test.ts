// What is kept of a password, and how many may be checked at once.

import { expect, it } from 'vitest';
import { checkPassword, makePassword, matches, storedPassword } from '../../src/console/passwords.ts';

it('a stored password has its parameters and a salt of its own', async () => {
  const [one, two] = await Promise.all([storedPassword('correct horse'), storedPassword('correct horse')]);
  expect(one).toMatch(/^\$scrypt\$ln=15,r=8,p=3\$[\w-]{22}\$[\w-]{43}$/);
  expect(one).not.toBe(two);
  expect(await matches('correct horse', one)).toBe(true);
  expect(await matches('Correct horse', one)).toBe(false);
  // One letter, or a letter and an accent.
  expect(await matches('cafe\u0301 horses', await storedPassword('caf\u00e9 horses'))).toBe(true);
});

it('nothing matches a stored text that is none, or asks for too much work', async () => {
  const stored = await storedPassword('correct horse');
  for (const text of [undefined, '', 'correct horse', stored.replace('ln=15', 'ln=30'), `${stored}x`])
    expect(await matches('correct horse', text), text).toBe(false);
});

it('an unknown user takes as long as a wrong password', async () => {
  const stored = await storedPassword('correct horse');
  const time = async (text: string | undefined) => {
    const from = process.cpuUsage();
    await matches('wrong horse', text);
    return process.cpuUsage(from).user;
  };
  const times: [number, number][] = [];
  for (let round = 0; round < 2; round++) times.push([await time(stored), await time(undefined)]);
  const least = [0, 1].map(which => Math.min(...times.map(pair => pair[which]!)));
  expect(least[1]! / least[0]!).toBeGreaterThan(0.5);
  expect(least[1]! / least[0]!).toBeLessThan(2);
});

it('two are computed at once, few wait, and the rest is told when to come back', async () => {
  const cheap = (await storedPassword('correct horse')).replace('ln=15,r=8,p=3', 'ln=1,r=1,p=1');
  const results = await Promise.allSettled(Array.from({ length: 30 }, () => matches('a horse', cheap)));
  const refused = results.filter(({ status }) => status === 'rejected');
  expect(refused).toHaveLength(30 - 2 - 20);
  expect((refused[0] as PromiseRejectedResult).reason).toMatchObject({ code: 'RATE_LIMITED', retryAfter: 5 });
  expect(await matches('a horse', cheap)).toBe(false);
});

it('short ones, long ones and the name are refused; one that is made up is fine', () => {
  for (const password of ['short', 'a'.repeat(257), 'ALICE@EXAMPLE'])
    expect(() => checkPassword(password, 'alice@example'), password).toThrow(/password must/);
  const made = makePassword();
  expect(made).toMatch(/^([2-9a-hjkmnp-z]{5}-){3}[2-9a-hjkmnp-z]{5}$/);
  expect(() => checkPassword(made, 'alice')).not.toThrow();
  expect(makePassword()).not.toBe(made);
});
