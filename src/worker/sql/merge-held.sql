-- Merges sums and values into held rows. Parameters: JSON rows [id, amount, version or null, payload as text], sequence of the batch.
UPDATE JSON_TABLE(?, '$[*]' COLUMNS (
  id BIGINT UNSIGNED PATH '$[0]', amount BIGINT PATH '$[1]', version BIGINT UNSIGNED PATH '$[2]',
  payload LONGTEXT CHARACTER SET utf8mb4 PATH '$[3]')) j
STRAIGHT_JOIN sluice_quarantine q ON q.id = j.id
SET q.amount = j.amount, q.version = j.version, q.payload = j.payload, q.last_sequence = ?
