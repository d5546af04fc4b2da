-- Records what a run did to a row. Only the transaction that did it may write over an earlier outcome of the run.
-- Parameters: operation, quarantine id, outcome, the row as it was as JSON, write over? 1 or 0.
INSERT INTO sluice_operation_items (operation_id, quarantine_id, outcome, original, done_at)
SELECT j.operation_id, j.quarantine_id, j.outcome, j.original, UTC_TIMESTAMP(3)
FROM (SELECT ? AS operation_id, ? AS quarantine_id, ? AS outcome, ? AS original, ? AS write_over) j
ON DUPLICATE KEY UPDATE
  done_at = IF(j.write_over, UTC_TIMESTAMP(3), sluice_operation_items.done_at),
  outcome = IF(j.write_over, j.outcome, sluice_operation_items.outcome)
