/**
 * Passwords that may change while a process runs. A function is called for each new connection, so a rotated
 * password takes effect without a restart. Open connections keep the old one.
 */

/** A password, or a function that returns the current one. It must not throw after its first success. */
export type Password = string | (() => string);

export function currentPassword(password: Password): string {
  return typeof password === 'function' ? password() : password;
}

/** Makes the property return the current password, for clients that read it for each connection. */
export function keepCurrent(options: object, name: string, password: Password | undefined): void {
  if (typeof password !== 'function') return;
  Object.defineProperty(options, name, {
    get: password,
    set: () => {},
    enumerable: true,
    configurable: true,
  });
}
