// One host or several in MYSQL_URL, and what is refused.

import { describe, expect, it } from 'vitest';
import { nameOf, parseMysqlUrl } from '../../src/shared/mysql/url.ts';

const hostsOf = (url: string) => parseMysqlUrl({ url }).hosts.map(nameOf);

describe('hosts of MYSQL_URL', () => {
  it.each([
    ['mysql://u:p@h/app', ['h:3306']],
    ['mysql://u:p@h1:3306,h2:3307,h3/app', ['h1:3306', 'h2:3307', 'h3:3306']],
    ['mariadb://u@[::1]:5,[2001:DB8::2]/app', ['[::1]:5', '[2001:db8::2]:3306']],
    ['mysql://u:p,q@h1,h2/app', ['h1:3306', 'h2:3306']],
    ['mysql://u:p@q@h/app', ['h:3306']],
    ['mysql:///app', ['127.0.0.1:3306']],
    ['mysql://my_db.internal/app', ['my_db.internal:3306']],
  ])('%s is read', (url, hosts) => {
    expect(hostsOf(url)).toEqual(hosts);
  });

  it('are read together with the login', () => {
    const parsed = parseMysqlUrl({ url: 'mysql://a%40b:c%2Cd@h1,h2/my%20app' });
    expect(parsed).toMatchObject({ user: 'a@b', password: 'c,d', database: 'my app' });
  });

  it.each([
    'mysql://u:p@h1,/app',
    'mysql://u:p@,h2/app',
    'mysql://u:p@h1;h2/app'.replace(';', ' '),
    'mysql://u:p@h:0/app',
    'mysql://u:p@h:65536/app',
    'mysql://u:p@h:x/app',
    'mysql://u:p@h1:-1/app',
    'mysql://u:p@::1/app',
  ])('%s is refused', url => {
    expect(() => hostsOf(url)).toThrow(/MYSQL_URL contains a host that cannot be read/);
  });

  it('may not repeat', () => {
    expect(() => hostsOf('mysql://h1,H1:3306/app')).toThrow(/names the host h1:3306 twice/);
  });
});
