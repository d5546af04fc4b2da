/** AWS credentials: from the environment, or those of the ECS task's role, fetched and cached while valid. */
import * as z from 'zod';
import { CredentialsUnavailableError } from '../errors.ts';

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

/** The credentials themselves, or the URL at which ECS provides those of the task's role. */
export type CredentialsSource = AwsCredentials | { readonly url: string };

/** The fields of the endpoint's answer that are used here. */
const answerSchema = z.object({
  AccessKeyId: z.string().min(1),
  SecretAccessKey: z.string().min(1),
  Token: z.string().min(1),
  Expiration: z.iso.datetime(),
});

const ANSWER_MS = 2000;
/** ECS has new credentials long before the old ones expire. A login signed with expired ones is refused. */
const RENEW_BEFORE_END_MS = 5 * 60_000;

/** @returns a function that resolves to the credentials, or rejects with CredentialsUnavailableError */
export function credentialsFrom(source: CredentialsSource): () => Promise<AwsCredentials> {
  if (!('url' in source)) return async () => source;
  let kept: { credentials: AwsCredentials; end: number } | undefined;
  let asked: Promise<AwsCredentials> | undefined;
  const ask = async () => {
    try {
      kept = await fetchCredentials(source.url);
      return kept.credentials;
    } catch (error) {
      // They are renewed early, so a short failure of the endpoint does no harm.
      if (kept && kept.end > Date.now()) return kept.credentials;
      throw error;
    } finally {
      asked = undefined;
    }
  };
  return async () => {
    if (kept && kept.end - RENEW_BEFORE_END_MS > Date.now()) return kept.credentials;
    // Connections of a pool open together: one request serves them all.
    asked ??= ask();
    return asked;
  };
}

async function fetchCredentials(url: string): Promise<{ credentials: AwsCredentials; end: number }> {
  let what = 'did not answer';
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS), redirect: 'error' });
    what = `answered ${response.status}`;
    if (!response.ok) throw new Error(what);
    what = 'did not answer with credentials';
    const { AccessKeyId, SecretAccessKey, Token, Expiration } = answerSchema.parse(await response.json());
    const credentials = { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: Token };
    return { credentials, end: Date.parse(Expiration) };
  } catch {
    // Without its cause: a parser's error quotes the answer, which holds secrets.
    throw new CredentialsUnavailableError(new URL(url).origin, what);
  }
}
