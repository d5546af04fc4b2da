/**
 * Users at each server, one for each process, so that the server can tell their connections apart. They have only the documented rights. Their passwords are in files and may change.
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readClusterRights, readRights } from '../../test/support/rights.ts';

export type ServerKind = 'redis' | 'mysql';

/** A password: the one that the server accepts, and the one in the file that processes read. */
class Secret {
  readonly file: string;
  #changes = 0;
  readonly #name: string;

  constructor(file: string, name: string) {
    this.file = file;
    this.#name = name;
    this.publish();
  }

  /** What the server accepts now. */
  get current(): string {
    return `${this.#name}-${this.#changes}`;
  }

  /** Returns a new password, to be set at the server. */
  change(): string {
    this.#changes++;
    return this.current;
  }

  /** Writes it to the file atomically. */
  publish(): void {
    writeFileSync(`${this.file}.new`, this.current);
    renameSync(`${this.file}.new`, this.file);
  }
}

export interface Account {
  readonly name: string;
  readonly secrets: Readonly<Record<ServerKind, Secret>>;
}

/** Login of a producer. */
export interface Login {
  readonly user: string;
  readonly files: Readonly<Record<ServerKind, string>>;
}

export class Accounts {
  readonly workers: readonly Account[];
  readonly producers: readonly Account[];
  readonly api: Account;
  readonly #redisRights: readonly string[];

  constructor(folder: string, namespace: string) {
    mkdirSync(folder, { recursive: true });
    const open = (name: string): Account => ({
      name,
      secrets: {
        redis: new Secret(join(folder, `${name}-redis`), name),
        mysql: new Secret(join(folder, `${name}-mysql`), name),
      },
    });
    this.workers = ['worker1', 'worker2'].map(open);
    this.producers = ['producer1', 'producer2'].map(open);
    this.api = open('api');
    this.#redisRights = [...readRights(namespace, namespace).redis, ...readClusterRights()];
  }

  get all(): readonly Account[] {
    return [...this.workers, ...this.producers, this.api];
  }

  /** Options for a Redis that starts now. */
  redisArgs(): string[] {
    return this.all.flatMap(({ name, secrets }) => [
      '--user',
      ...[name, 'on', `>${secrets.redis.current}`, ...this.#redisRights],
    ]);
  }

  environment({ name, secrets }: Account): Record<string, string> {
    return {
      REDIS_USERNAME: name,
      REDIS_PASSWORD_FILE: secrets.redis.file,
      MYSQL_USER: name,
      MYSQL_PASSWORD_FILE: secrets.mysql.file,
    };
  }

  login({ name, secrets }: Account): Login {
    return { user: name, files: { redis: secrets.redis.file, mysql: secrets.mysql.file } };
  }
}
