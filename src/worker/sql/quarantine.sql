-- Puts one refused update aside. Parameters: partition, kind, name, key, amount, entry id or null, error code, payload.
INSERT INTO sluice_quarantine (partition_id, kind, name, item_key, amount, entry_id, error_code, payload, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(3))
