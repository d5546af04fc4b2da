// Variables that Kubernetes and Docker put into every container are ignored; typing errors are refused.

import { expect, it } from 'vitest';
import { readConfig } from '../../src/shared/config/config.ts';

const servers = { REDIS_URL: 'redis://r', MYSQL_URL: 'mysql://m/app' };

/** What Kubernetes sets for a Service of this name with these ports, as its documentation says. */
function serviceLinks(service: string, ports: Record<string, number>, protocol = 'tcp') {
  const prefix = service.toUpperCase().replaceAll('-', '_');
  const [first] = Object.values(ports);
  const set: Record<string, string> = {
    [`${prefix}_SERVICE_HOST`]: '10.0.0.11',
    [`${prefix}_SERVICE_PORT`]: String(first),
    [`${prefix}_PORT`]: `${protocol}://10.0.0.11:${first}`,
  };
  for (const [name, port] of Object.entries(ports)) {
    const one = `${prefix}_PORT_${port}_${protocol.toUpperCase()}`;
    set[`${prefix}_SERVICE_PORT_${name.toUpperCase().replaceAll('-', '_')}`] = String(port);
    set[one] = `${protocol}://10.0.0.11:${port}`;
    set[`${one}_PROTO`] = protocol;
    set[`${one}_PORT`] = String(port);
    set[`${one}_ADDR`] = '10.0.0.11';
  }
  return set;
}

it.each([
  'sluice',
  'sluice-worker',
  'sluice-http',
  'sluice-config',
  'sluice-2',
  'sluice-http-port',
  'redis',
  'mysql',
])('the variables of a Service named %s are ignored', service => {
  const links = {
    ...serviceLinks(service, { http: 9464, 'metrics-2': 80 }),
    ...serviceLinks(service, { dns: 53 }, 'udp'),
  };
  expect(readConfig({ ...links, ...servers })).toEqual(readConfig(servers));
  const own = { SLUICE_HTTP_HOST: '0.0.0.0', SLUICE_PARTITIONS: '4' };
  expect(readConfig({ ...links, ...servers, ...own })).toEqual(readConfig({ ...servers, ...own }));
});

it('the variables of a container that Docker links as sluice-worker are ignored', () => {
  const links = {
    SLUICE_WORKER_NAME: '/api/sluice-worker',
    SLUICE_WORKER_PORT: 'tcp://172.17.0.2:9464',
    SLUICE_WORKER_PORT_9464_TCP: 'tcp://172.17.0.2:9464',
    SLUICE_WORKER_PORT_9464_TCP_START: 'tcp://172.17.0.2:9464',
    SLUICE_WORKER_ENV_SLUICE_PARTITIONS: '7',
    SLUICE_WORKER_ENV_NODE_VERSION: '24.1.0',
  };
  expect(readConfig({ ...links, ...servers })).toEqual(readConfig(servers));
});

it.each([
  { SLUICE_HTP_PORT: '9464' },
  { SLUICE_PORT: '9464' },
  { SLUICE_HTTP_PORT: '9464x' },
  { SLUICE_HTTP_PORT: 'tcp://10.0.0.1' },
  { SLUICE_SERVICE: '10.0.0.1' },
  { SLUICE_PORT_HTTP_TCP: 'tcp://10.0.0.1:80' },
  { SLUICE_NAME: 'orders' },
  { SLUICE_NAMESPACES: 'orders' },
  { SLUICE_HOST: '10.0.0.1' },
])('%j is refused as a typing error', environment => {
  expect(() => readConfig(environment)).toThrow(expect.objectContaining({ code: 'INVALID_CONFIGURATION' }));
});
