-- Writes a row of the journal; the caller repeats the values for more.
-- Parameters: partition, sequence, token, ledger rows, updates, outcome as JSON.
INSERT INTO sluice_batches (partition_id, sequence, token, entries, updates, outcome, committed_at)
VALUES (?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(3))
