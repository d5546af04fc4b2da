-- Records what an operation did to a row. Only an outcome that changed the row may replace an earlier one.
-- Parameters: operation, quarantine id or 0, transfer or an empty text, outcome, the original row as JSON, 1 to
-- replace an earlier outcome.
INSERT INTO sluice_operation_items (operation_id, quarantine_id, transfer, outcome, original, done_at)
SELECT j.operation_id, j.quarantine_id, j.transfer, j.outcome, j.original, UTC_TIMESTAMP(3)
FROM (SELECT ? AS operation_id, ? AS quarantine_id, ? AS transfer, ? AS outcome, ? AS original, ? AS write_over) j
ON DUPLICATE KEY UPDATE
  done_at = IF(j.write_over, UTC_TIMESTAMP(3), sluice_operation_items.done_at),
  outcome = IF(j.write_over, j.outcome, sluice_operation_items.outcome)
