/** What fastify and node:http refuse, in the same form as what Sluice refuses. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { SluiceError } from '../shared/errors.ts';
import { PROBLEM_TYPE, problemOf } from './problem.ts';
import { RequestError } from './request-error.ts';

/** By fastify's codes, never by its messages. */
const KNOWN: Readonly<Record<string, RequestError>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: new RequestError(
    'REQUEST_TOO_LARGE',
    'A JSON body has 1 MiB at most; send several requests, or NDJSON to /v1/updates.',
  ),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: new RequestError(
    'UNSUPPORTED_MEDIA_TYPE',
    'This route takes no body of this type; send JSON with "Content-Type: application/json".',
  ),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: new RequestError(
    'INVALID_REQUEST',
    'The body is shorter or longer than Content-Length says. Nothing was applied; send it again.',
  ),
  FST_ERR_BAD_URL: new RequestError('INVALID_REQUEST', 'The path of the URL is not valid.'),
  FST_ERR_MAX_PARAM_LENGTH: new RequestError('NOT_FOUND', 'A part of the path is longer than any name.'),
};

/** An error of Sluice for any error. What is not known is a bug, or an error of a server's client. */
export function errorOf(error: Error): Error {
  if (error instanceof SluiceError) return error;
  const { code = '', statusCode = 500 } = error as Error & { code?: string; statusCode?: number };
  const known = KNOWN[code];
  if (known) return known;
  if (statusCode >= 400 && statusCode < 500)
    return new RequestError('INVALID_REQUEST', 'The request is not valid HTTP, or ended early.', {
      cause: error,
    });
  return error;
}

const LINES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
};

/** The answer to the request of a connection, until it is complete; also if there is nothing of it yet. */
export function openAnswer(socket: Socket): ServerResponse | undefined {
  // node:http looks there too, in its own handler of errors of clients.
  const { _httpMessage: open } = socket as Socket & { _httpMessage?: ServerResponse | null };
  return open ?? undefined;
}

/**
 * Whether a request of the connection is being applied, or has the head of its answer. What is written now would
 * be taken for that answer, and say that nothing was applied.
 */
function isAnswering(socket: Socket): boolean {
  const open = openAnswer(socket);
  return !!open && (open.headersSent || open.req.complete);
}

/** Answers what is no request of HTTP, or did not arrive in time, and closes the connection. */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  // The client has closed it, or reads no more.
  if (error.code === 'ECONNRESET' || !socket.writable || isAnswering(socket)) {
    socket.destroy();
    return;
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  const message =
    status === 431
      ? 'The headers, with the URL, are too long; read fewer keys at a time.'
      : status === 408
        ? 'The headers did not arrive in time.'
        : 'The request is not valid HTTP.';
  const code = status === 408 ? 'REQUEST_TIMEOUT' : 'INVALID_REQUEST';
  const body = JSON.stringify({ ...problemOf(new RequestError(code, message)), status });
  socket.end(
    `HTTP/1.1 ${status} ${LINES[status]}\r\nContent-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}
