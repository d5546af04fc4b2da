/** Credentials of AWS: given in the environment, or those of the ECS task's role, fetched and kept while they are good. */
import * as z from 'zod';
import { CredentialsUnavailableError } from '../errors.ts';

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

/** Where credentials come from: themselves, or the URL at which ECS hands out those of the task's role. */
export type CredentialsSource = AwsCredentials | { readonly url: string };

/** What the endpoint answers; it says more, which is not of use here. */
const answerSchema = z.object({
  AccessKeyId: z.string().min(1),
  SecretAccessKey: z.string().min(1),
  Token: z.string().min(1),
  Expiration: z.iso.datetime(),
});

const ANSWER_MS = 2000;
/** ECS renews them long before their end; a login that is signed with ended credentials is refused. */
const RENEW_BEFORE_END_MS = 5 * 60_000;

/** @returns what gives the credentials; it rejects with CredentialsUnavailableError only */
export function credentialsFrom(source: CredentialsSource): () => Promise<AwsCredentials> {
  if (!('url' in source)) return async () => source;
  let kept: { credentials: AwsCredentials; end: number } | undefined;
  let asked: Promise<AwsCredentials> | undefined;
  const ask = async () => {
    try {
      kept = await fetchCredentials(source.url);
      return kept.credentials;
    } catch (error) {
      // They are renewed early, so that an endpoint that fails for a moment does not matter.
      if (kept && kept.end > Date.now()) return kept.credentials;
      throw error;
    } finally {
      asked = undefined;
    }
  };
  return async () => {
    if (kept && kept.end - RENEW_BEFORE_END_MS > Date.now()) return kept.credentials;
    // The connections of a pool open together: one question serves them all.
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
    // Without its cause: a parser's error quotes what it read.
    throw new CredentialsUnavailableError(new URL(url).origin, what);
  }
}
