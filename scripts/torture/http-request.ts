/** One request to the HTTP API as a client sees it: an answer, or why there is none, and what came before that. */
import { Agent, type ClientRequest, type IncomingMessage, request } from 'node:http';

export interface Sending {
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The body piece by piece; the client goes away if it throws. */
  readonly pieces: AsyncIterable<string>;
  /** The client goes away if there is no whole answer by then. */
  readonly timeoutMs: number;
}

export interface Outcome {
  readonly status: number | undefined;
  /** What has arrived of the answer. */
  readonly text: string;
  /** Why the answer is not whole; undefined if it is. */
  readonly failure: string | undefined;
}

/** The failure of a request that was not sent: nobody listens on the port. */
export const NOT_SENT = 'ECONNREFUSED';

const agent = new Agent({ keepAlive: true });

export function closeConnections(): void {
  agent.destroy();
}

export async function send({ port, path, headers, pieces, timeoutMs }: Sending): Promise<Outcome> {
  const sent = request({ host: '127.0.0.1', port, method: 'POST', path, headers, agent });
  const arriving = outcomeOf(sent);
  let left: string | undefined;
  const leave = (why: string) => {
    left ??= why;
    sent.destroy();
  };
  const timer = setTimeout(() => leave('CLIENT_TIMEOUT'), timeoutMs);
  try {
    for await (const piece of pieces) {
      if (sent.destroyed) break;
      sent.write(piece);
    }
    sent.end();
  } catch (error) {
    leave((error as Error).message);
  }
  const outcome = await arriving;
  clearTimeout(timer);
  return outcome.failure !== undefined && left !== undefined ? { ...outcome, failure: left } : outcome;
}

/** Never rejects. */
function outcomeOf(sent: ClientRequest): Promise<Outcome> {
  return new Promise(resolve => {
    let status: number | undefined;
    let text = '';
    const fail = (error: Error & { code?: string }) =>
      resolve({ status, text, failure: error.code ?? error.message });
    sent.on('error', fail);
    sent.on('close', () => fail(new Error('CLOSED')));
    sent.on('response', (response: IncomingMessage) => {
      status = response.statusCode;
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('error', fail);
      response.on('end', () => resolve({ status, text, failure: undefined }));
    });
  });
}
