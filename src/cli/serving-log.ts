/** The log of a process that serves until a signal: JSON on stdout, read to its end before the process ends. */
import type { Logger } from 'pino';
import type { Config } from '../shared/config/config.ts';
import { createLog } from '../shared/log.ts';
import { LogStream } from '../shared/log-stream.ts';

/** Longest wait at the end for the last log lines to be read, ms. */
const FLUSH_MS = 1000;

/** @param serve gets the log, and what writes a line of its own among those of the log */
export async function withServingLog<Result>(
  { logLevel }: Config,
  serve: (log: Logger, write: (line: string) => void) => Promise<Result>,
): Promise<Result> {
  const output = new LogStream('stdout');
  try {
    return await serve(createLog(logLevel ?? 'info', output), line => output.write(line));
  } finally {
    await output.flushed(FLUSH_MS);
  }
}
