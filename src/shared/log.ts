/** Structured logs: pino's JSON on one stream, never with secrets, keys or metadata at info level. */
import { type DestinationStream, type Logger, pino } from 'pino';
import { LogStream } from './log-stream.ts';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

const NOWHERE: DestinationStream = { write: () => {} };

/** @param stream stdout for the worker, stderr for commands whose stdout is data */
export function createLog(level: LogLevel, stream: 'stdout' | 'stderr' | DestinationStream): Logger {
  // Each LogStream adds a listener to the process's stream, and a process may have many silent producers.
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

/** Message and codes of an error, without the statement or command that failed: it holds users' data. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  const { code, errno, sqlState } = error as Error & { code?: unknown; errno?: unknown; sqlState?: unknown };
  // Database and parser errors quote the data that they refused, in the message and in the stack.
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
