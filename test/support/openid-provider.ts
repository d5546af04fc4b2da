/** A provider of OpenID Connect: discovery, keys, tokens and users, as small as the standard allows. */
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cleanUp } from './cleanup.ts';

interface Grant {
  readonly query: URLSearchParams;
  readonly claims: Record<string, unknown>;
}

export async function openProvider(clientSecret: string) {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const grants = new Map<string, Grant>();
  /** What is wrong with it, for a test. */
  const faults = { nonce: false, key: false, audience: false };
  const atUserInfo: Record<string, unknown> = {};
  let issuer = '';
  const server = createServer(async (request, response) => {
    const url = new URL(request.url!, issuer);
    const answer = (body: unknown, status = 200) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    if (url.pathname === '/.well-known/openid-configuration')
      return answer({
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        userinfo_endpoint: `${issuer}/userinfo`,
        jwks_uri: `${issuer}/keys`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256'],
      });
    if (url.pathname === '/keys')
      return answer({
        keys: [{ ...publicKey.export({ format: 'jwk' }), kid: '1', alg: 'RS256', use: 'sig' }],
      });
    if (url.pathname === '/userinfo') return answer({ sub: 'u1', ...atUserInfo });
    if (url.pathname === '/token') return answer(...(await exchange(request)));
    answer({}, 404);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  cleanUp(async () => {
    server.closeAllConnections();
    await new Promise(resolve => server.close(resolve));
  });

  async function exchange(request: IncomingMessage): Promise<[unknown, number]> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = new URLSearchParams(Buffer.concat(parts).toString());
    const [, basic = ''] = (request.headers.authorization ?? '').split(' ');
    // Both parts are encoded as in a form.
    const login = new URLSearchParams(`login=${Buffer.from(basic, 'base64')}`).get('login');
    if (login !== `sluice:${clientSecret}`) return [{ error: 'invalid_client' }, 401];
    const grant = grants.get(body.get('code') ?? '');
    // A code serves once, for the address and the verifier that it was asked for with.
    grants.delete(body.get('code') ?? '');
    const challenge = createHash('sha256')
      .update(body.get('code_verifier') ?? '')
      .digest('base64url');
    if (
      grant?.query.get('code_challenge') !== challenge ||
      grant.query.get('redirect_uri') !== body.get('redirect_uri')
    )
      return [{ error: 'invalid_grant' }, 400];
    const tokens = { access_token: 'a', token_type: 'Bearer', expires_in: 60, id_token: idToken(grant) };
    return [tokens, 200];
  }

  function idToken({ query, claims }: Grant): string {
    const now = Math.floor(Date.now() / 1000);
    const payload = {
      ...{ iss: issuer, sub: 'u1', iat: now, exp: now + 60, aud: faults.audience ? 'other' : 'sluice' },
      nonce: faults.nonce ? 'other' : query.get('nonce'),
      ...claims,
    };
    const text = [{ alg: 'RS256', kid: '1' }, payload]
      .map(part => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const key = faults.key ? other.privateKey : privateKey;
    return `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`;
  }

  return {
    issuer,
    faults,
    atUserInfo,
    /** A user logs in at the address to which the console has sent the browser. @returns the way back */
    logIn(location: string, claims: Record<string, unknown>): string {
      const { searchParams: query } = new URL(location);
      const code = randomBytes(16).toString('hex');
      grants.set(code, { query, claims });
      return `${query.get('redirect_uri')}?code=${code}&state=${encodeURIComponent(query.get('state')!)}`;
    },
  };
}
