-- Adds rows to a mapped table. Not an upsert: that would check the bare amount against the column first, and refuse
-- -5 for an UNSIGNED column that holds 100. One parameter: JSON rows [key, amount].
INSERT INTO {table} ({key}, {column})
SELECT j.item_key, j.amount
FROM JSON_TABLE(?, '$[*]' COLUMNS (item_key {keyType} PATH '$[0]', amount BIGINT PATH '$[1]')) j
