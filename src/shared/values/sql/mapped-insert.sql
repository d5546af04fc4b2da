-- Inserts rows into a mapped table. Not an upsert, which would first check the amount alone against the
-- column, and refuse -5 for an UNSIGNED column with 100. One parameter: JSON rows [key, amount].
INSERT INTO {table} ({key}, {column})
SELECT j.item_key, j.amount
FROM JSON_TABLE(?, '$[*]' COLUMNS (item_key {keyType} PATH '$[0]', amount BIGINT PATH '$[1]')) j
