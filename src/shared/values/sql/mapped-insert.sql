-- Inserts rows into a mapped table. Not an upsert, which would first check the amount alone against the
-- column, and refuse -5 for an UNSIGNED column with 100. Parameters: the constants; JSON rows
-- [amount, key, parts].
INSERT INTO {table} ({keyColumns}, {column}{constantColumns})
SELECT {keyValues}, {amount}{constants}
FROM JSON_TABLE(?, '$[*]' COLUMNS (amount BIGINT PATH '$[0]', {typedKeys})) j
