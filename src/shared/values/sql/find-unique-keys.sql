-- The unique keys of a table, one row for each part. MySQL and MariaDB have different columns for hidden
-- keys, so all columns are selected. Parameters: schema, table.
SELECT * FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX
