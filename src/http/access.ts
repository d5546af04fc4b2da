/**
 * Who may use a route. One hook decides for all routes, by what each declares, never by a prefix of the path. A
 * route without a declaration cannot be added.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { KeyRing } from './key-ring.ts';
import type { Scope, StoredKey } from './key-store.ts';
import type { RateLimits } from './rate-limits.ts';
import { RequestError } from './request-error.ts';

/** What a route declares. */
export interface Declared {
  readonly access: Scope | 'public';
  readonly names: 'counter' | 'program' | 'value' | undefined;
}

export class Access {
  readonly key: StoredKey;

  readonly #ring: KeyRing;

  constructor(key: StoredKey, ring: KeyRing) {
    this.key = key;
    this.#ring = ring;
  }

  /** Whether the key can still be used: a long request asks again. */
  isLive(): boolean {
    return this.#ring.has(this.key.id);
  }

  /** @throws RequestError if the key is limited to other names */
  checkName(kind: 'counter' | 'program' | 'value', name: unknown): void {
    const { counters, programs, values } = this.key;
    const allowed = { counter: counters, program: programs, value: values }[kind];
    if (allowed === undefined || (typeof name === 'string' && allowed.includes(name))) return;
    throw new RequestError(
      'FORBIDDEN',
      `The key ${this.key.name} may not use this ${kind}; use another key, or create one for it.`,
    );
  }

  /** @throws RequestError */
  checkScope(scope: Scope): void {
    if (this.key.scopes.includes(scope)) return;
    throw new RequestError(
      'FORBIDDEN',
      `The key ${this.key.name} lacks the scope ${scope}; use another key, or create one with it.`,
    );
  }
}

const BEARER = /^Bearer +(\S+)$/i;

/**
 * The access of a request; undefined if its route is public. A promise only if the key is not known yet, since
 * to wait for nothing costs each request a turn.
 * @throws RequestError
 */
export function decide(
  request: FastifyRequest,
  reply: FastifyReply,
  ring: KeyRing,
  limits: RateLimits,
): Access | undefined | Promise<Access> {
  const declared = (request.routeOptions.config as { declared?: Declared }).declared;
  if (declared?.access === 'public') return undefined;
  const [, text] = BEARER.exec(request.headers.authorization ?? '') ?? [];
  if (text === undefined)
    throw new RequestError(
      'UNAUTHENTICATED',
      'The request has no key; send the header "Authorization: Bearer sluice_...". The command "sluice keys create" makes one.',
    );
  const allow = (key: StoredKey | undefined) => allowed(request, reply, new Access(known(key), ring), limits);
  const key = ring.find(text, request.raw.socket);
  return key ? allow(key) : ring.look(text).then(allow);
}

/** @throws RequestError */
function known(key: StoredKey | undefined): StoredKey {
  if (!key)
    throw new RequestError(
      'UNAUTHENTICATED',
      'There is no such key, or it has expired or was revoked; see "sluice keys list".',
    );
  return key;
}

/** @throws RequestError */
function allowed(request: FastifyRequest, reply: FastifyReply, access: Access, limits: RateLimits): Access {
  const { declared } = request.routeOptions.config as { declared?: Declared };
  limits.take(access.key, reply);
  // The route is not known: there is nothing to allow, and the answer is 404.
  if (!declared || declared.access === 'public') return access;
  access.checkScope(declared.access);
  if (declared.names) access.checkName(declared.names, (request.params as { name?: string }).name);
  return access;
}
