/**
 * Logins by OpenID Connect: the authorization code flow with PKCE, state and nonce. What the way back is checked
 * against travels in a cookie of the browser that began, so any process of the console can end what another began.
 */
import type { ClientAuth, Configuration } from 'openid-client';
import type { Logger } from 'pino';
import * as z from 'zod';
import { RequestError, UnavailableForAll } from '../http/request-error.ts';
import type { OpenIdLogin } from '../shared/config/console.ts';
import { currentPassword } from '../shared/password.ts';
import { isUserName, roleFor } from './access.ts';
import { isView } from './assets.ts';
import type { OpenIdUser } from './sessions.ts';

type Library = typeof import('openid-client');
type Claims = Readonly<Record<string, unknown>>;

export const CALLBACK = '/openid/callback';
/** How long a user may take to log in there, seconds. */
export const TICKET_SECONDS = 600;
const ANSWER_SECONDS = 10;
const LONGEST_TARGET = 1500;

const ticketSchema = z.strictObject({
  state: z.string().min(20),
  nonce: z.string().min(20),
  verifier: z.string().min(40),
  to: z.string(),
});

export class OpenId {
  readonly #login: OpenIdLogin;
  readonly #log: Logger;
  #opened: Promise<{ library: Library; configuration: Configuration }> | undefined;

  constructor(login: OpenIdLogin, log: Logger) {
    this.#login = login;
    this.#log = log;
  }

  /**
   * @param origin of this console @param to the page to come back to
   * @returns where the browser has to go, and the ticket that it has to bring back
   * @throws UnavailableForAll
   */
  async start(origin: string, to: string | undefined): Promise<{ location: string; ticket: string }> {
    const { library, configuration } = await this.#open();
    const verifier = library.randomPKCECodeVerifier();
    const state = library.randomState();
    const nonce = library.randomNonce();
    const location = library.buildAuthorizationUrl(configuration, {
      ...{ redirect_uri: origin + CALLBACK, scope: this.#login.scopes, state, nonce },
      code_challenge: await library.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    });
    const ticket = JSON.stringify({ state, nonce, verifier, to: targetOf(to) });
    return { location: location.href, ticket: Buffer.from(ticket).toString('base64url') };
  }

  /**
   * @param address with which the browser came back
   * @throws RequestError, UnavailableForAll
   */
  async finish(address: URL, given: string | undefined): Promise<{ user: OpenIdUser; to: string }> {
    const { library, configuration } = await this.#open();
    const ticket = readTicket(given);
    let claims: Claims;
    try {
      const tokens = await library.authorizationCodeGrant(configuration, address, {
        pkceCodeVerifier: ticket.verifier,
        expectedState: ticket.state,
        expectedNonce: ticket.nonce,
        idTokenExpected: true,
      });
      const own = tokens.claims()!;
      const isWhole = this.#has(own);
      claims =
        isWhole || !configuration.serverMetadata().userinfo_endpoint
          ? own
          : { ...(await library.fetchUserInfo(configuration, tokens.access_token, own.sub)), ...own };
    } catch (error) {
      this.#log.warn({ err: error }, 'a login by OpenID Connect failed');
      throw new RequestError(
        'UNAUTHENTICATED',
        'The login by OpenID Connect failed; begin it again. The log of the console says why.',
        { cause: error },
      );
    }
    return { user: this.#userOf(claims), to: ticket.to };
  }

  /** Providers may leave claims out of the ID token, and give them when asked for the user. */
  #has(claims: Claims): boolean {
    const { userClaim, roleClaim } = this.#login;
    return [userClaim, roleClaim].every(name => name === undefined || claimOf(claims, name) !== undefined);
  }

  /** @throws RequestError if there is no name that can be trusted, or no role */
  #userOf(claims: Claims): OpenIdUser {
    const { userClaim, roleClaim, roles } = this.#login;
    const name = claimOf(claims, userClaim);
    if (typeof name !== 'string' || !isUserName(name))
      throw new RequestError('FORBIDDEN', `OpenID Connect gives no name in the claim ${userClaim}.`);
    // Whoever enters the address of somebody else there must not get that name here.
    const { email_verified: verified } = claims;
    if (
      userClaim === 'email' &&
      ![undefined, true, 'true'].includes(verified as boolean | string | undefined)
    )
      throw new RequestError(
        'FORBIDDEN',
        `The address ${name} is not verified at the provider of OpenID Connect.`,
      );
    const given = roleClaim === undefined ? [] : claimOf(claims, roleClaim);
    const names = (Array.isArray(given) ? given : [given]).filter(one => typeof one === 'string');
    return { name, role: roleFor(name, names, roles) };
  }

  /** All that ask at once share one request. A failure is forgotten, so that the next one asks again. */
  #open() {
    this.#opened ??= this.#discover().catch(error => {
      this.#opened = undefined;
      this.#log.warn({ err: error }, 'the provider of OpenID Connect cannot be used');
      throw new UnavailableForAll(
        'OPENID_UNAVAILABLE',
        'The provider of OpenID Connect cannot be reached now; the log of the console says why.',
      );
    });
    return this.#opened;
  }

  async #discover() {
    const { issuer, clientId } = this.#login;
    const library = await import('openid-client');
    const url = new URL(issuer);
    // readConfig allows plain HTTP on the loopback only.
    const insecure = url.protocol === 'http:' ? [library.allowInsecureRequests] : [];
    const configuration = await library.discovery(url, clientId, undefined, this.#authentication(library), {
      execute: [...insecure, library.enableNonRepudiationChecks],
      timeout: ANSWER_SECONDS,
    });
    return { library, configuration };
  }

  /** Reads the secret for each request, since it may be replaced. */
  #authentication(library: Library): ClientAuth {
    const { clientSecret } = this.#login;
    if (clientSecret === undefined) return library.None();
    return (server, client, body, headers) => {
      const secret = currentPassword(clientSecret);
      const isPost = server.token_endpoint_auth_methods_supported?.includes('client_secret_post');
      const authenticate = isPost ? library.ClientSecretPost(secret) : library.ClientSecretBasic(secret);
      return authenticate(server, client, body, headers);
    };
  }
}

/** A claim by its name, or by its path with dots. */
function claimOf(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let value: unknown = claims;
  for (const part of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Claims)[part];
  }
  return value;
}

/** Only a view of the page, with its filters; the first one for anything else. */
export function targetOf(given: string | undefined): string {
  const [, path = '', query = ''] = /^([^?#]*)(\?[\x21-\x7e]*)?$/.exec(given ?? '') ?? [];
  const isTarget = isView(path) && path !== '/login' && path.length + query.length <= LONGEST_TARGET;
  return isTarget ? path + query : '/';
}

/** @throws RequestError if the browser did not begin, or began too long ago */
function readTicket(given: string | undefined): z.infer<typeof ticketSchema> {
  try {
    const ticket = ticketSchema.parse(JSON.parse(Buffer.from(given ?? '', 'base64url').toString('utf8')));
    return { ...ticket, to: targetOf(ticket.to) };
  } catch (cause) {
    throw new RequestError(
      'UNAUTHENTICATED',
      `This browser did not begin a login, or more than ${TICKET_SECONDS / 60} minutes ago; begin it again.`,
      { cause },
    );
  }
}
