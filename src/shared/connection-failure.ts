/** Explains why a server could not be reached, by the error code, never by message text. */

interface Failure {
  readonly code?: string;
  readonly errno?: number;
  readonly message?: string;
  readonly cause?: unknown;
  /** ioredis' Cluster sets it. */
  readonly lastNodeError?: unknown;
}

const LOCKED = 'another session holds a lock';
const READ_ONLY = 'it is read-only';
const NO_FILES = 'this machine allows no more open files or connections';
const TOO_MANY = 'it has too many connections';
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'it refused the connection',
  ECONNRESET: 'it closed the connection',
  EPIPE: 'it closed the connection',
  PROTOCOL_CONNECTION_LOST: 'it closed the connection',
  ENOTFOUND: 'its host name is unknown',
  EAI_AGAIN: 'the lookup of its host name failed',
  ETIMEDOUT: 'it did not answer in time',
  PROTOCOL_SEQUENCE_TIMEOUT: 'it did not answer in time',
  EHOSTUNREACH: 'there is no route to its host',
  ENETUNREACH: 'there is no route to its network',
  EMFILE: NO_FILES,
  ENFILE: NO_FILES,
  ER_CON_COUNT_ERROR: TOO_MANY,
  ER_TOO_MANY_USER_CONNECTIONS: 'this user has too many connections',
  ER_USER_LIMIT_REACHED: 'this user has too many connections',
  ER_LOCK_WAIT_TIMEOUT: LOCKED,
  ER_OPTION_PREVENTS_STATEMENT: READ_ONLY,
  ER_READ_ONLY_MODE: READ_ONLY,
  // On a read-only server, MariaDB answers this for each transaction.
  ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION: READ_ONLY,
};

/** Remedies beyond the general one, which is to check that the server runs and can be reached. */
const REMEDIES: Readonly<Record<string, string>> = {
  [LOCKED]:
    'find its holder with SHOW PROCESSLIST (a backup with FLUSH TABLES WITH READ LOCK, an ALTER TABLE, a transaction left open) and let it end',
  [READ_ONLY]: 'make it writable (read_only, super_read_only), or name the primary in MYSQL_URL',
  [NO_FILES]: 'raise the limit of open files (ulimit -n)',
  [TOO_MANY]: 'raise max_connections, or start fewer processes',
};

/** Undefined if neither the error nor its causes have a known code. */
export function failureReason(error: unknown): string | undefined {
  for (
    let at = error as Failure | undefined;
    at;
    at = (at.lastNodeError ?? at.cause) as Failure | undefined
  ) {
    const reason = REASONS[at.code ?? ''];
    if (reason) return reason;
  }
  return undefined;
}

/** Undefined if the general remedy applies: check that the server runs and can be reached. */
export function failureRemedy(error: unknown): string | undefined {
  return REMEDIES[failureReason(error) ?? ''];
}

const UNKNOWN_AUTHORITY = 'the authority that signed its certificate is not trusted here';
const PLAIN = 'it does not speak TLS on this port';
const TLS_PROBLEMS: Readonly<Record<string, string>> = {
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  CERT_UNTRUSTED: UNKNOWN_AUTHORITY,
  CERT_SIGNATURE_FAILURE: 'its certificate is not signed by the configured authority',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet, or the clock here is wrong',
  CERT_REVOKED: 'its certificate is revoked',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host name than that of the URL',
  HOSTNAME_MISMATCH: 'its certificate is for another host name than that of the URL',
  HANDSHAKE_NO_SSL_SUPPORT: PLAIN,
  ERR_SSL_WRONG_VERSION_NUMBER: PLAIN,
  EPROTO: PLAIN,
  ER_SECURE_TRANSPORT_REQUIRED: 'it accepts encrypted connections only',
};

/** The problem with TLS, which waiting does not solve; undefined if TLS is not what failed. */
export function tlsProblem(error: unknown): string | undefined {
  for (
    let at = error as Failure | undefined;
    at;
    at = (at.lastNodeError ?? at.cause) as Failure | undefined
  ) {
    const { code = '', message = '' } = at;
    const known = TLS_PROBLEMS[code];
    if (known) return known;
    // mysql2 replaces Node's codes by this one, and OpenSSL has many for alerts. Their texts hold no secrets.
    if (code === 'HANDSHAKE_SSL_ERROR') return isNetwork(at) ? undefined : `the handshake failed: ${message}`;
    if (/^ERR_SSL_/.test(code)) return `the handshake failed: ${code}`;
  }
  return undefined;
}

/** Whether the connection ended in the middle of the handshake. A restart of the server causes that too. */
function isNetwork({ errno }: Failure): boolean {
  return errno !== undefined;
}
