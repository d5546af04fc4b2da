-- Format 5: held updates, which wait for a mapped table, and mappings that have worked.

-- Why a row is here. `refused`: MySQL refused it, and an operator decides about it. `held`: its mapped table
-- takes no row now, or an earlier update of its key is held; a worker writes it once the table takes rows.
-- Sums of one counter key are merged into one held row, of the batches from sequence to last_sequence.
ALTER TABLE sluice_quarantine
  ADD COLUMN cause ENUM('refused', 'held') NOT NULL DEFAULT 'refused',
  ADD COLUMN last_sequence BIGINT UNSIGNED NULL,
  ADD KEY held (cause, partition_id, kind, name, id);

-- 1 if the partition may have held rows. A flush reads it with the watermark, and looks for held rows only
-- then.
ALTER TABLE sluice_partitions ADD COLUMN held TINYINT UNSIGNED NOT NULL DEFAULT 0;

-- Mappings that fitted when a worker checked them. If one of them does not fit any more, processes start all
-- the same. Any other mapping that does not fit is a mistake in the definitions.
CREATE TABLE IF NOT EXISTS sluice_targets (
  kind ENUM('counter', 'entry') NOT NULL,
  name VARBINARY(64) NOT NULL,
  target VARBINARY(1024) NOT NULL,
  PRIMARY KEY (kind, name)
) ENGINE = InnoDB;
