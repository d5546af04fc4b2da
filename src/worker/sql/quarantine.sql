-- Puts one refused update aside. Parameters: partition, kind, name, key, amount, error code, payload as JSON.
INSERT INTO sluice_quarantine (partition_id, kind, name, item_key, amount, error_code, payload, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(3))
