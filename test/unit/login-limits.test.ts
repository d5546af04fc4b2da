// How many logins may fail, by address and by name, in bounded memory.

import { expect, it, vi } from 'vitest';
import { LoginLimits } from '../../src/console/login-limits.ts';

/** Fails until it is told to wait. @returns how often, and how long to wait, seconds */
function failed(limits: LoginLimits, attempt: (time: number) => [address: string, name: string]) {
  for (let time = 0; time < 1000; time++) {
    try {
      limits.take(...attempt(time));
    } catch (error) {
      const { code, retryAfter } = error as { code: string; retryAfter: number };
      return { times: time, code, retryAfter };
    }
  }
  return { times: 1000 };
}

it('an address may fail 20 times, whatever the names, and an IPv6 network counts as one', () => {
  const limits = new LoginLimits();
  expect(failed(limits, time => ['192.0.2.1', `name${time}`])).toMatchObject({
    times: 20,
    code: 'RATE_LIMITED',
  });
  expect(failed(limits, time => ['::ffff:192.0.2.1', `name${time}`]).times).toBe(0);
  expect(failed(limits, time => ['192.0.2.2', `name${time}`]).times).toBe(20);
  expect(failed(limits, time => [`2001:db8::${time.toString(16)}`, `name${time}`]).times).toBe(20);
  expect(failed(limits, time => [`2001:db8:0:0:${time}::1`, `other${time}`]).times).toBe(0);
  expect(failed(limits, time => [`2001:db8:0:1::${time}`, `other${time}`]).times).toBe(20);
});

it('a name may fail 10 times from anywhere, and after a while once more', () => {
  vi.useFakeTimers({ toFake: ['performance', 'Date', 'hrtime'] });
  try {
    const limits = new LoginLimits();
    const attack = () => failed(limits, time => [`192.0.2.${time}`, time % 2 ? 'alice' : 'ALICE']);
    const { times, retryAfter } = attack();
    expect(times).toBe(10);
    expect(retryAfter).toBeGreaterThan(5);
    expect(retryAfter).toBeLessThanOrEqual(12);
    vi.advanceTimersByTime(12_500);
    expect(attack().times).toBe(1);
  } finally {
    vi.useRealTimers();
  }
});

it('what succeeds costs nothing, and a name that logged in from an address is not locked out by others', () => {
  const limits = new LoginLimits();
  for (let time = 0; time < 100; time++) limits.take('192.0.2.1', 'alice')();
  failed(limits, time => [`198.51.100.${time}`, 'alice']);
  expect(() => limits.take('192.0.2.9', 'alice')).toThrow(/Too many logins/);
  expect(failed(limits, () => ['192.0.2.1', 'alice']).times).toBe(10);
});

it('names that look like what limits are kept under do not use them up', () => {
  const limits = new LoginLimits();
  limits.take('192.0.2.1', 'alice')();
  failed(limits, () => ['192.0.2.7', 'pair 192.0.2.1 alice']);
  failed(limits, () => ['192.0.2.8', 'address 192.0.2.1']);
  expect(() => limits.take('192.0.2.1', 'alice')).not.toThrow();
});

it('what is longest unused is forgotten, so that names and addresses take bounded memory', () => {
  const limits = new LoginLimits();
  failed(limits, time => [`192.0.2.${time}`, 'alice']);
  const attempt = (count: number) => {
    for (let time = 0; time < count; time++) limits.take(`10.0.${time >> 8}.${time & 255}`, `n${time}`);
  };
  attempt(4000);
  expect(() => limits.take('192.0.2.99', 'alice')).toThrow(/Too many logins/);
  attempt(6000);
  expect(() => limits.take('192.0.2.99', 'alice')).not.toThrow();
});
