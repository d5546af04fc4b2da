-- The tables of format 1. Key columns are VARBINARY: character collations merge keys that differ in case,
-- accents or trailing blanks. Each statement ends with a semicolon at the end of a line.

CREATE TABLE IF NOT EXISTS sluice_counters (
  counter VARBINARY(64) NOT NULL,
  counter_key VARBINARY(512) NOT NULL,
  value BIGINT NOT NULL,
  updated_at DATETIME(3) NOT NULL,
  PRIMARY KEY (counter, counter_key),
  -- Larger numbers are not exact in JavaScript and Lua.
  CHECK (value BETWEEN -9007199254740991 AND 9007199254740991)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS sluice_accounts (
  program VARBINARY(64) NOT NULL,
  account VARBINARY(255) NOT NULL,
  balance BIGINT NOT NULL,
  updated_at DATETIME(3) NOT NULL,
  PRIMARY KEY (program, account),
  CHECK (balance BETWEEN -9007199254740991 AND 9007199254740991)
) ENGINE = InnoDB;

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
  metadata JSON NULL,
  created_at DATETIME(3) NOT NULL,
  PRIMARY KEY (partition_id, ledger_no),
  UNIQUE KEY entry (program, account, entry_id),
  KEY history (program, account, ledger_no)
) ENGINE = InnoDB;

-- The watermarks. An absent row locks nothing, so a flush refuses to run without it.
CREATE TABLE IF NOT EXISTS sluice_partitions (
  partition_id SMALLINT UNSIGNED NOT NULL,
  sequence BIGINT UNSIGNED NOT NULL,
  token VARBINARY(32) NOT NULL,
  epoch VARBINARY(32) NOT NULL,
  updated_at DATETIME(3) NOT NULL,
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

-- sequence is that of the batch. payload is the entry as the producer sent it, or a counter's number of
-- updates. It is text, not JSON: an update may be refused for its JSON, and the quarantine must take every
-- update.
CREATE TABLE IF NOT EXISTS sluice_quarantine (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  partition_id SMALLINT UNSIGNED NOT NULL,
  sequence BIGINT UNSIGNED NOT NULL,
  kind ENUM('counter', 'entry') NOT NULL,
  name VARBINARY(64) NOT NULL,
  item_key VARBINARY(512) NOT NULL,
  amount BIGINT NOT NULL,
  entry_id VARBINARY(255) NULL,
  error_code VARCHAR(64) CHARACTER SET ascii NOT NULL,
  payload LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  created_at DATETIME(3) NOT NULL,
  PRIMARY KEY (id),
  KEY item (kind, name, item_key),
  KEY kept (partition_id, kind)
) ENGINE = InnoDB;
