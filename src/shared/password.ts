/**
 * Passwords that may change while a process runs. A function is asked for each new connection, so that a rotated password is
 * taken without a restart: connections that are open go on with the old one.
 */

/** A password, or what gives the one of the moment. It must not throw once it has given one. */
export type Password = string | (() => string);

export function currentPassword(password: Password): string {
  return typeof password === 'function' ? password() : password;
}

/** Has the property give the password of the moment, for clients that read their options anew for each connection. */
export function keepCurrent(options: object, name: string, password: Password | undefined): void {
  if (typeof password !== 'function') return;
  Object.defineProperty(options, name, {
    get: password,
    set: () => {},
    enumerable: true,
    configurable: true,
  });
}
