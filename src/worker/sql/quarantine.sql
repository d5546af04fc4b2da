-- Puts updates into quarantine. Parameters: partition, sequence of the batch, kind, cause, then JSON rows
-- [name, key, amount, version or null, entry id or null, error code, payload as text].
INSERT INTO sluice_quarantine
  (partition_id, sequence, kind, name, item_key, amount, version, entry_id, error_code, payload, cause, created_at)
SELECT ?, ?, ?, j.name, j.item_key, j.amount, j.version, j.entry_id, j.error_code, j.payload, ?, UTC_TIMESTAMP(3)
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  name VARBINARY({LIMITS.name}) PATH '$[0]', item_key VARBINARY({LIMITS.key}) PATH '$[1]', amount BIGINT PATH '$[2]',
  version BIGINT UNSIGNED PATH '$[3]', entry_id VARBINARY({LIMITS.id}) PATH '$[4]',
  error_code VARCHAR({LIMITS.code}) CHARACTER SET ascii PATH '$[5]', payload LONGTEXT CHARACTER SET utf8mb4 PATH '$[6]')) j
