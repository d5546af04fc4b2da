-- Puts an update into quarantine that is too long for quarantine.sql. Parameters: partition, sequence of the batch,
-- kind, name, key, amount, version or null, entry id or null, error code, payload, cause.
INSERT INTO sluice_quarantine
  (partition_id, sequence, kind, name, item_key, amount, version, entry_id, error_code, payload, cause, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(3))
