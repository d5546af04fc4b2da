/** Reads a password: from a terminal without showing it, or the first line of what is piped in. Never an argument. */
import type { ReadStream } from 'node:tty';
import { ConfigurationError } from '../shared/errors.ts';

type Input = AsyncIterable<Buffer | string> &
  Partial<Pick<ReadStream, 'isTTY' | 'setRawMode'>> & { setEncoding(encoding: 'utf8'): unknown };

const INTERRUPT = '\u0003';
const END = '\u0004';
const BACKSPACES = new Set(['\u007f', '\b']);
/** More than any password has. */
const LONGEST_LINE = 4096;

/** @throws ConfigurationError if there is none, or if the two at the terminal differ */
export async function readPassword(input: Input, prompts: { write(text: string): unknown }): Promise<string> {
  input.setEncoding('utf8');
  const signs = signsOf(input);
  if (!input.isTTY || !input.setRawMode) return given(await lineOf(signs));
  input.setRawMode(true);
  try {
    prompts.write('Password: ');
    const first = given(await lineOf(signs));
    prompts.write('\nOnce more: ');
    const second = await lineOf(signs);
    if (first === second) return first;
  } finally {
    input.setRawMode(false);
    prompts.write('\n');
  }
  throw new ConfigurationError('The two passwords differ; run the command again.');
}

function given(password: string): string {
  if (password !== '') return password;
  throw new ConfigurationError(
    'There is no password; type one, write it to standard input, or make one up with --generate.',
  );
}

async function* signsOf(input: AsyncIterable<Buffer | string>): AsyncGenerator<string> {
  for await (const chunk of input) yield* String(chunk);
}

/** @throws ConfigurationError after Ctrl-C, or if the line is too long */
async function lineOf(signs: AsyncGenerator<string>): Promise<string> {
  const line: string[] = [];
  for (;;) {
    const { value: sign = END, done } = await signs.next();
    if (sign === INTERRUPT) throw new ConfigurationError('Interrupted; nothing was changed.');
    if (done || sign === '\r' || sign === '\n' || sign === END) return line.join('');
    if (BACKSPACES.has(sign)) line.pop();
    else line.push(sign);
    if (line.length > LONGEST_LINE)
      throw new ConfigurationError('The password is longer than any may be; check what standard input is.');
  }
}
