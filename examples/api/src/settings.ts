/** Addresses of the service and its servers; the only file that reads the environment. */
import { readFileSync } from 'node:fs';

const environment = process.env;

/**
 * A password from a file, as container platforms provide secrets; without one, the URL's password is used.
 */
function secret(name: string): { password?: string } {
  const path = environment[name];
  return path ? { password: readFileSync(path, 'utf8').trimEnd() } : {};
}

export const settings = {
  host: environment.HOST ?? '127.0.0.1',
  port: Number(environment.PORT ?? 3000),
  /** A separate port, since metrics are not for callers. 9464 may belong to a worker on the same machine. */
  metricsPort: Number(environment.METRICS_PORT ?? 9465),
  redis: { url: environment.REDIS_URL ?? 'redis://127.0.0.1', ...secret('REDIS_PASSWORD_FILE') },
  mysql: { url: environment.MYSQL_URL ?? 'mysql://root@127.0.0.1/app', ...secret('MYSQL_PASSWORD_FILE') },
};
