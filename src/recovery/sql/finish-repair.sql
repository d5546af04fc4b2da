-- Finishes the audit record of a repair. Parameter: its id.
UPDATE sluice_operations SET finished_at = UTC_TIMESTAMP(3) WHERE id = ?
