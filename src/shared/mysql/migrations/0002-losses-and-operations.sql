-- Format 2: updates that Redis lost or that counted twice, and operations on the quarantine.

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
  action ENUM('replay', 'edit', 'drop', 'repair', 'recover') NOT NULL,
  operator VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  reason VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  filter LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  last_id BIGINT UNSIGNED NOT NULL DEFAULT 0,
  started_at DATETIME(3) NOT NULL,
  finished_at DATETIME(3) NULL,
  PRIMARY KEY (id)
) ENGINE = InnoDB;

-- What an operation did to each quarantined row, written in the same transaction. `original` is the row
-- before that.
CREATE TABLE IF NOT EXISTS sluice_operation_items (
  operation_id BIGINT UNSIGNED NOT NULL,
  quarantine_id BIGINT UNSIGNED NOT NULL,
  outcome VARCHAR(64) CHARACTER SET ascii NOT NULL,
  original LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  done_at DATETIME(3) NOT NULL,
  PRIMARY KEY (operation_id, quarantine_id),
  KEY quarantined (quarantine_id)
) ENGINE = InnoDB;

-- Redis' number of the last update of the partition's last batch: how much of its history the database has.
ALTER TABLE sluice_partitions ADD COLUMN updates BIGINT UNSIGNED NOT NULL DEFAULT 0;
