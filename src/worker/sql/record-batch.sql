-- Writes the journal's row. Parameters: partition, sequence, token, ledger rows, updates, outcome as JSON.
INSERT INTO sluice_batches (partition_id, sequence, token, entries, updates, outcome, committed_at)
VALUES (?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(3))
