// A password is read from a terminal without showing it, or from what is piped in.

import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { readPassword } from '../../src/cli/password-input.ts';

function terminal(typed: string) {
  const modes: boolean[] = [];
  const shown: string[] = [];
  const input = Object.assign(new PassThrough(), {
    isTTY: true,
    setRawMode: (isRaw: boolean) => modes.push(isRaw) as never,
  });
  input.write(typed);
  const read = readPassword(input as never, { write: text => shown.push(text) });
  return { read, modes, shown };
}

it('at a terminal, it is typed twice, corrected, and never shown', async () => {
  const { read, modes, shown } = terminal('corect\u007f\u007fct horse\rcorect horse\r');
  expect(await read).toBe('corect horse');
  expect(modes).toEqual([true, false]);
  expect(shown.join('')).toBe('Password: \nOnce more: \n');
});

it.each([
  ['one horse\rtwo horses\r', /The two passwords differ/],
  ['one\u0003', /Interrupted; nothing was changed/],
  ['\r', /There is no password/],
])('%j at a terminal is refused, and the terminal is as before', async (typed, said) => {
  const { read, modes } = terminal(typed);
  await expect(read).rejects.toThrow(said);
  expect(modes).toEqual([true, false]);
});

it('what is piped in is the password up to the end of its line', async () => {
  const piped = (text: string) => {
    const input = new PassThrough();
    input.end(text);
    return readPassword(input, { write: () => {} });
  };
  expect(await piped('correct horse\nnext')).toBe('correct horse');
  expect(await piped('größe 🐎')).toBe('größe 🐎');
  await expect(piped('')).rejects.toThrow(/--generate/);
  await expect(piped('a'.repeat(10_000))).rejects.toThrow(/longer than any/);
});
