/**
 * Reads the rights from docs/rights.md, so that the tests run with exactly what operators are told to grant.
 */
import { readFileSync } from 'node:fs';

export function readRights(namespace: string, database: string): { redis: string[]; mysql: string[] } {
  const text = readFileSync(new URL('../../docs/rights.md', import.meta.url), 'utf8');
  const block = (language: string) => new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``).exec(text)![1]!;
  const redis = block('redis')
    .replaceAll('sluice:', `${namespace}:`)
    .replaceAll('{sluice}', `{${namespace}}`);
  const rules = redis.split(/\s+/).filter(word => /^[~+-]|^resetchannels$/.test(word));
  const mysql = block('sql')
    .replaceAll('`app`', `\`${database}\``)
    .split(';')
    .map(text => text.trim());
  return { redis: rules, mysql: mysql.filter(statement => statement.startsWith('GRANT')) };
}

/** Additional rights on a Redis Cluster. */
export function readClusterRights(): string[] {
  const text = readFileSync(new URL('../../docs/rights.md', import.meta.url), 'utf8');
  const [, rights] = /On Redis Cluster add\s+`([^`]+)`/.exec(text)!;
  return rights!.split(' ');
}

/** Statement with the additional rights for `sluice migrate`. */
export function readMigrationRights(database: string): string {
  const text = readFileSync(new URL('../../docs/rights.md', import.meta.url), 'utf8');
  const [, rights] = /`sluice migrate` also needs `([A-Z, ]+)`/.exec(text)!;
  return `GRANT ${rights} ON \`${database}\`.* TO 'sluice'@'%'`;
}

/** Rights of the Sentinels' user. */
export function readSentinelRights(): string[] {
  const text = readFileSync(new URL('../../docs/rights.md', import.meta.url), 'utf8');
  const [, block] = /```sentinel\n(.*?)```/s.exec(text)!;
  return block!.split(/\s+/).filter(word => /^[~&+-]|^resetchannels$/.test(word));
}
