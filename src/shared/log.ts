/** Structured logs: pino JSON on one stream, never with secrets, keys or metadata at info level. */
import { type DestinationStream, type Logger, pino } from 'pino';
import { LogStream } from './log-stream.ts';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const NOWHERE: DestinationStream = { write: () => {} };

/** @param stream stdout for the worker, stderr for commands whose stdout is data */
export function createLog(level: LogLevel, stream: 'stdout' | 'stderr' | DestinationStream): Logger {
  // A stream listens to the process's own, and a process may have any number of producers that log nothing.
  const target = level === 'silent' ? NOWHERE : typeof stream === 'string' ? new LogStream(stream) : stream;
  return pino(
    {
      level,
      base: { name: 'sluice', pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
      serializers: { err: serializeError },
    },
    target,
  );
}

/** An error's own words and codes; never the statement or command that failed, which holds users' data. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  const { code, errno, sqlState } = error as Error & { code?: unknown; errno?: unknown; sqlState?: unknown };
  // The text of a database error quotes the refused value, that of a parser what it could not read; so do their stacks.
  const quotes = sqlState !== undefined || error instanceof SyntaxError;
  return {
    type: error.name,
    message: quotes ? undefined : error.message,
    code,
    errno,
    sqlState,
    stack: quotes ? undefined : error.stack,
    cause: error.cause === undefined ? undefined : serializeError(error.cause),
  };
}
