-- The tables of format 9. Key columns are VARBINARY: character collations merge keys that differ in case,
-- accents or trailing blanks. Long keys need ROW_FORMAT = DYNAMIC: where the server's default is COMPACT, a key
-- has 767 bytes at most. Each statement ends with a semicolon at the end of a line.

CREATE TABLE IF NOT EXISTS sluice_counters (
  counter VARBINARY(64) NOT NULL,
  counter_key VARBINARY(2048) NOT NULL,
  value BIGINT NOT NULL,
  updated_at DATETIME(3) NOT NULL,
  PRIMARY KEY (counter, counter_key),
  -- Larger numbers are not exact in JavaScript and Lua.
  CHECK (value BETWEEN -9007199254740991 AND 9007199254740991)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

CREATE TABLE IF NOT EXISTS sluice_accounts (
  program VARBINARY(64) NOT NULL,
  account VARBINARY(255) NOT NULL,
  balance BIGINT NOT NULL,
  updated_at DATETIME(3) NOT NULL,
  PRIMARY KEY (program, account),
  CHECK (balance BETWEEN -9007199254740991 AND 9007199254740991)
) ENGINE = InnoDB;

-- Values of which one put is kept. `version` grows with each put of a value whose last put is kept, also if the value
-- itself is in a mapped table; it is 0 for the others.
CREATE TABLE IF NOT EXISTS sluice_values (
  name VARBINARY(64) NOT NULL,
  value_key VARBINARY(2048) NOT NULL,
  value BIGINT NOT NULL,
  version BIGINT UNSIGNED NOT NULL DEFAULT 0,
  updated_at DATETIME(3) NOT NULL,
  PRIMARY KEY (name, value_key),
  CHECK (value BETWEEN -9007199254740991 AND 9007199254740991)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- ledger_no is sequence * 65536 + position in the batch. Within a partition it grows in the order of
-- application, and inserts go to the end of the partition's range without an auto-increment lock.
CREATE TABLE IF NOT EXISTS sluice_entries (
  partition_id SMALLINT UNSIGNED NOT NULL,
  ledger_no BIGINT UNSIGNED NOT NULL,
  program VARBINARY(64) NOT NULL,
  account VARBINARY(255) NOT NULL,
  entry_id VARBINARY(255) NOT NULL,
  amount BIGINT NOT NULL,
  balance_after BIGINT NOT NULL,
  reason VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  -- The text that its caller wrote. The type JSON rounds 1546130668394913822.5, refuses 1e400 and turns 1.00
  -- into 1.0.
  metadata LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  created_at DATETIME(3) NOT NULL,
  -- Both null unless the entry is one of the two of a transfer. Erasing the other account sets it to null.
  transfer VARBINARY(64) NULL,
  other_account VARBINARY(255) NULL,
  PRIMARY KEY (partition_id, ledger_no),
  -- The id comes first, since ids mostly ascend with time (order numbers, UUIDv7): then new rows go to the end
  -- of this index. With the account first, each row goes to another page.
  UNIQUE KEY entry (entry_id, account, program),
  KEY history (program, account, ledger_no),
  KEY transfer (transfer)
) ENGINE = InnoDB;

-- Transfers in transit: the debit is in the ledger, the credit is not. The row is the right to credit: the
-- transaction that writes the credit deletes it. `transfer` is the token of the debit's batch and its place
-- there, or random for a debit from quarantine. entry_id is the debit's. `aside`: MySQL refused the credit with
-- error_code, and an operator decides.
CREATE TABLE IF NOT EXISTS sluice_transfers (
  transfer VARBINARY(64) NOT NULL,
  program VARBINARY(64) NOT NULL,
  from_account VARBINARY(255) NOT NULL,
  to_account VARBINARY(255) NOT NULL,
  entry_id VARBINARY(255) NOT NULL,
  -- Above 0.
  amount BIGINT NOT NULL,
  to_partition SMALLINT UNSIGNED NOT NULL,
  state ENUM('open', 'aside') NOT NULL DEFAULT 'open',
  error_code VARCHAR(64) CHARACTER SET ascii NULL,
  created_at DATETIME(3) NOT NULL,
  -- When the credit was last sent to Redis, or put aside; at first created_at.
  driven_at DATETIME(3) NOT NULL,
  PRIMARY KEY (transfer),
  KEY drive (to_partition, state, driven_at)
) ENGINE = InnoDB;

-- Holds of points. Those that are open are what their account holds. A row stays for ever, so that its id is known.
CREATE TABLE IF NOT EXISTS sluice_holds (
  program VARBINARY(64) NOT NULL,
  account VARBINARY(255) NOT NULL,
  hold_id VARBINARY(253) NOT NULL,
  partition_id SMALLINT UNSIGNED NOT NULL,
  -- Above 0.
  amount BIGINT NOT NULL,
  status ENUM('open', 'posted', 'voided', 'expired') NOT NULL,
  -- How much of it was taken; 0 unless it is posted.
  posted BIGINT NOT NULL DEFAULT 0,
  -- By the clock of Redis; null for a hold that never expires.
  expires_at DATETIME(3) NULL,
  created_at DATETIME(3) NOT NULL,
  ended_at DATETIME(3) NULL,
  PRIMARY KEY (program, account, hold_id),
  -- What an account holds.
  KEY held (program, account, status, amount),
  KEY due (status, partition_id, expires_at)
) ENGINE = InnoDB;

-- How many holds are open and what they keep: the sums of the open rows of sluice_holds, by program and partition. The
-- transaction that writes those writes these, under the lock of the watermark, so that a metric counts no rows.
CREATE TABLE IF NOT EXISTS sluice_open_holds (
  program VARBINARY(64) NOT NULL,
  partition_id SMALLINT UNSIGNED NOT NULL,
  holds BIGINT NOT NULL,
  -- The sum of many accounts may be above a BIGINT, and must not stop the flush.
  points DECIMAL(38, 0) NOT NULL,
  PRIMARY KEY (program, partition_id)
) ENGINE = InnoDB;

-- The watermarks. An absent row locks nothing, so a flush refuses to run without it.
CREATE TABLE IF NOT EXISTS sluice_partitions (
  partition_id SMALLINT UNSIGNED NOT NULL,
  sequence BIGINT UNSIGNED NOT NULL,
  token VARBINARY(32) NOT NULL,
  epoch VARBINARY(32) NOT NULL,
  updated_at DATETIME(3) NOT NULL,
  -- Redis' number of the last update of the partition's last batch: how much of its history the database has.
  updates BIGINT UNSIGNED NOT NULL DEFAULT 0,
  -- 1 if the partition may have held rows. A flush reads it with the watermark, and looks for held rows only
  -- then.
  held TINYINT UNSIGNED NOT NULL DEFAULT 0,
  PRIMARY KEY (partition_id)
) ENGINE = InnoDB;

-- The journal: recent batches and their outcomes. `entries` counts ledger rows, `updates` all applied
-- updates.
CREATE TABLE IF NOT EXISTS sluice_batches (
  partition_id SMALLINT UNSIGNED NOT NULL,
  sequence BIGINT UNSIGNED NOT NULL,
  token VARBINARY(32) NOT NULL,
  entries INT UNSIGNED NOT NULL,
  updates BIGINT UNSIGNED NOT NULL,
  outcome JSON NULL,
  committed_at DATETIME(3) NOT NULL,
  PRIMARY KEY (partition_id, sequence),
  KEY token (partition_id, token)
) ENGINE = InnoDB;

-- sequence is that of the batch. `max`, `min` and `last` are values, by the rule that keeps one of two. payload is the
-- entry as the producer sent it, or the number of updates of a counter or value. It is text, not JSON: an update may be refused for its JSON, and the quarantine must take every
-- update.
CREATE TABLE IF NOT EXISTS sluice_quarantine (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  partition_id SMALLINT UNSIGNED NOT NULL,
  sequence BIGINT UNSIGNED NOT NULL,
  kind ENUM('counter', 'entry', 'max', 'min', 'last') NOT NULL,
  name VARBINARY(64) NOT NULL,
  item_key VARBINARY(2048) NOT NULL,
  amount BIGINT NOT NULL,
  -- Only of a value whose last put is kept.
  version BIGINT UNSIGNED NULL,
  entry_id VARBINARY(255) NULL,
  error_code VARCHAR(64) CHARACTER SET ascii NOT NULL,
  payload LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  created_at DATETIME(3) NOT NULL,
  -- The operation that has taken the update, or null. Two operations never change one update at the same time:
  -- an operation takes a row first, and keeps it until the row leaves quarantine or the operation releases it.
  operation BIGINT UNSIGNED NULL,
  -- Why a row is here. `refused`: MySQL refused it, and an operator decides about it. `held`: its mapped table
  -- takes no row now, or an earlier update of its key is held; a worker writes it once the table takes rows.
  -- Sums of one counter key are merged into one held row, of the batches from sequence to last_sequence.
  cause ENUM('refused', 'held') NOT NULL DEFAULT 'refused',
  last_sequence BIGINT UNSIGNED NULL,
  PRIMARY KEY (id),
  KEY item (kind, name, item_key, entry_id),
  -- The groups that the console shows, with their oldest and newest row. The code comes first, so that no statement of
  -- a flush or a read can take this index for that of its key.
  KEY refusal (error_code, kind, name, cause, id),
  KEY kept (partition_id, kind),
  KEY held (cause, partition_id, kind, name, id)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- `cause` identifies a loss, so that several processes may report the same one: the incarnation of Redis
-- whose last updates are gone (`lost`), the token of the batch (`doubled`), or the operation that accepted a
-- restored database. `updates` is an upper bound.
CREATE TABLE IF NOT EXISTS sluice_losses (
  partition_id SMALLINT UNSIGNED NOT NULL,
  kind ENUM('lost', 'doubled') NOT NULL,
  cause VARBINARY(64) NOT NULL,
  updates BIGINT UNSIGNED NOT NULL,
  found_at DATETIME(3) NOT NULL,
  PRIMARY KEY (partition_id, kind, cause)
) ENGINE = InnoDB;

-- The audit record: one row for each operation. last_id is the newest quarantined row that it may change.
CREATE TABLE IF NOT EXISTS sluice_operations (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  action ENUM('replay', 'edit', 'drop', 'repair', 'recover', 'retry', 'return', 'void') NOT NULL,
  operator VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  reason VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  -- Where the request of the HTTP API or the console came from; null for commands.
  address VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  filter LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  last_id BIGINT UNSIGNED NOT NULL DEFAULT 0,
  started_at DATETIME(3) NOT NULL,
  finished_at DATETIME(3) NULL,
  PRIMARY KEY (id)
) ENGINE = InnoDB;

-- What an operation did to each quarantined row, or to each row of sluice_transfers: then quarantine_id is 0 and
-- transfer is its name, which is empty otherwise; or, with neither, to the hold that the operation names. Written in the same transaction. `original` is the row before
-- that.
CREATE TABLE IF NOT EXISTS sluice_operation_items (
  operation_id BIGINT UNSIGNED NOT NULL,
  quarantine_id BIGINT UNSIGNED NOT NULL,
  transfer VARBINARY(64) NOT NULL DEFAULT '',
  outcome VARCHAR(64) CHARACTER SET ascii NOT NULL,
  original LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  -- A digest of an entry's program, account and id, so that what was done to it is found by them.
  entry BINARY(16) NULL,
  done_at DATETIME(3) NOT NULL,
  PRIMARY KEY (operation_id, quarantine_id, transfer),
  KEY quarantined (quarantine_id),
  KEY entry (entry),
  KEY outcome (operation_id, outcome)
) ENGINE = InnoDB;

-- Mappings that fitted when a worker checked them. If one of them does not fit any more, processes start all
-- the same. Any other mapping that does not fit is a mistake in the definitions.
CREATE TABLE IF NOT EXISTS sluice_targets (
  kind ENUM('counter', 'entry', 'max', 'min', 'last') NOT NULL,
  name VARBINARY(64) NOT NULL,
  target VARBINARY(1024) NOT NULL,
  PRIMARY KEY (kind, name)
) ENGINE = InnoDB;

-- The keys of the HTTP API. `secret` is the SHA-256 of the key's secret; the secret itself is nowhere. `rights`
-- is JSON: scopes, names of counters and programs, rate.
CREATE TABLE IF NOT EXISTS sluice_keys (
  id VARBINARY(16) NOT NULL,
  name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  secret BINARY(32) NOT NULL,
  rights LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  created_at DATETIME(3) NOT NULL,
  expires_at DATETIME(3) NULL,
  revoked_at DATETIME(3) NULL,
  last_used_at DATETIME(3) NULL,
  PRIMARY KEY (id),
  KEY name (name)
) ENGINE = InnoDB;

-- The users of the console. `password` is a text with the scrypt hash and its parameters.
CREATE TABLE IF NOT EXISTS sluice_users (
  name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  role ENUM('viewer', 'operator', 'admin') NOT NULL,
  password VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  created_at DATETIME(3) NOT NULL,
  last_login_at DATETIME(3) NULL,
  PRIMARY KEY (name)
) ENGINE = InnoDB;

-- The logins of the console. `token` is the SHA-256 of what the browser's cookie has. `role` is null for a user of
-- sluice_users, whose role is there, and the one that OpenID Connect gave for others.
CREATE TABLE IF NOT EXISTS sluice_sessions (
  token BINARY(32) NOT NULL,
  name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  role ENUM('viewer', 'operator', 'admin') NULL,
  created_at DATETIME(3) NOT NULL,
  expires_at DATETIME(3) NOT NULL,
  PRIMARY KEY (token),
  KEY name (name, created_at),
  KEY expiry (expires_at)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;

-- Backfills: copies of a column of a user's table into counters or points. `spec` is what a run copies; it never
-- changes. `place` is the key of the last row that is in MySQL with all rows before it. `page` is the page under
-- way: written before its first opening is sent, null once all of them are in MySQL. `receipts` are those of the
-- page, null until Redis has accepted all of it. `counts` counts rows. All are JSON. Only the process `owner` changes the row; another one
-- may take it after owned_until. `moved_at` is when `place` was moved last.
CREATE TABLE IF NOT EXISTS sluice_backfills (
  run VARBINARY(64) NOT NULL,
  spec LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  operator VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  place LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  page LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  receipts LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  counts LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  owner VARBINARY(32) NOT NULL,
  owned_until DATETIME(3) NOT NULL,
  started_at DATETIME(3) NOT NULL,
  moved_at DATETIME(3) NOT NULL,
  finished_at DATETIME(3) NULL,
  PRIMARY KEY (run)
) ENGINE = InnoDB;
