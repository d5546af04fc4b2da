-- Merges sums into held rows. Parameters: JSON rows [id, amount, payload as text], sequence of the batch.
UPDATE JSON_TABLE(?, '$[*]' COLUMNS (
  id BIGINT UNSIGNED PATH '$[0]', amount BIGINT PATH '$[1]', payload LONGTEXT CHARACTER SET utf8mb4 PATH '$[2]')) j
STRAIGHT_JOIN sluice_quarantine q ON q.id = j.id
SET q.amount = j.amount, q.payload = j.payload, q.last_sequence = ?
