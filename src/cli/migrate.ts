/** `sluice migrate`: brings the database's schema to this version's format. */
import { readConfig } from '../shared/config/config.ts';
import { createLog } from '../shared/log.ts';
import { Database } from '../shared/mysql/database.ts';
import { migrate } from '../shared/mysql/migrate.ts';
import { whenReachable } from '../shared/start-wait.ts';
import { EXIT, type ExitCode } from './exit.ts';

export async function runMigrate(options: { json?: boolean }): Promise<ExitCode> {
  const { mysql, settings, logLevel } = readConfig(process.env);
  const log = createLog(logLevel ?? 'error', 'stderr');
  const database = new Database(mysql, { ...settings, connections: 2 });
  try {
    const wait = { waitMs: settings.startWaitMs, log };
    const report = await whenReachable(() => migrate(database, settings.partitions), wait);
    if (options.json) console.log(JSON.stringify(report));
    else {
      const done = report.applied.length > 0 ? `applied ${report.applied.join(', ')}` : 'nothing to do';
      console.log(`${done}; format ${report.format}, ${report.partitions} partitions`);
    }
    return EXIT.ok;
  } finally {
    await database.close();
  }
}
