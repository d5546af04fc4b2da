-- Format 2: what Redis lost or made count twice, and what operators did to the quarantine.

-- `cause` tells losses of one kind apart, so that several processes may report the same one: for `lost` the incarnation of
-- Redis whose tail is gone, for `doubled` the token of the batch, for a restored database the operation that accepted it.
-- `updates` is the most that can be concerned.
CREATE TABLE IF NOT EXISTS sluice_losses (
  partition_id SMALLINT UNSIGNED NOT NULL,
  kind ENUM('lost', 'doubled') NOT NULL,
  cause VARBINARY(64) NOT NULL,
  updates BIGINT UNSIGNED NOT NULL,
  found_at DATETIME(3) NOT NULL,
  PRIMARY KEY (partition_id, kind, cause)
) ENGINE = InnoDB;

-- The audit record: one row for each run of an operator's command. last_id is the newest quarantined row that it may touch.
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

-- What a run did to each quarantined row, written in the transaction that did it. `original` is the row as it was.
CREATE TABLE IF NOT EXISTS sluice_operation_items (
  operation_id BIGINT UNSIGNED NOT NULL,
  quarantine_id BIGINT UNSIGNED NOT NULL,
  outcome VARCHAR(64) CHARACTER SET ascii NOT NULL,
  original LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  done_at DATETIME(3) NOT NULL,
  PRIMARY KEY (operation_id, quarantine_id),
  KEY quarantined (quarantine_id)
) ENGINE = InnoDB;

-- How far of a partition's history the database has come: the number that Redis gave the last update of its last batch.
ALTER TABLE sluice_partitions ADD COLUMN updates BIGINT UNSIGNED NOT NULL DEFAULT 0;
