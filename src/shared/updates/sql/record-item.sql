-- Records what an operation did to an update. Only an outcome that changed the update may replace an earlier one.
-- Parameters: operation, quarantine id, outcome, the original row as JSON, digest of an entry or null, 1 to replace an
-- earlier outcome.
INSERT INTO sluice_operation_items (operation_id, quarantine_id, outcome, original, entry, done_at)
SELECT j.operation_id, j.quarantine_id, j.outcome, j.original, j.entry, UTC_TIMESTAMP(3)
FROM (SELECT ? AS operation_id, ? AS quarantine_id, ? AS outcome, ? AS original, ? AS entry, ? AS write_over) j
ON DUPLICATE KEY UPDATE
  done_at = IF(j.write_over, UTC_TIMESTAMP(3), sluice_operation_items.done_at),
  outcome = IF(j.write_over, j.outcome, sluice_operation_items.outcome)
