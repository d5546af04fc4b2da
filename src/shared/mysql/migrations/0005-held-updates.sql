-- Format 5: updates that wait for a mapped table, and which mappings have worked.

-- Why a row is here. `refused`: MySQL refuses it for its own sake, an operator deals with it. `held`: its mapped table takes no
-- row as it is, or an earlier update of its key is held; a worker writes it once the table does. Sums of one counter key are
-- merged into one held row: its batches are sequence to last_sequence.
ALTER TABLE sluice_quarantine
  ADD COLUMN cause ENUM('refused', 'held') NOT NULL DEFAULT 'refused',
  ADD COLUMN last_sequence BIGINT UNSIGNED NULL,
  ADD KEY held (cause, partition_id, kind, name, id);

-- 1 if rows of the partition may be held: a flush reads it with the watermark, and looks them up only then.
ALTER TABLE sluice_partitions ADD COLUMN held TINYINT UNSIGNED NOT NULL DEFAULT 0;

-- Mappings that a worker has found to fit. One of them that does not fit any more keeps no process from starting; any other
-- is taken for a mistake in the definitions.
CREATE TABLE IF NOT EXISTS sluice_targets (
  kind ENUM('counter', 'entry') NOT NULL,
  name VARBINARY(64) NOT NULL,
  target VARBINARY(1024) NOT NULL,
  PRIMARY KEY (kind, name)
) ENGINE = InnoDB;
