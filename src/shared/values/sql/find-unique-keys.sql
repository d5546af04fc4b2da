-- The unique keys of a table, a row for each part; whether one is hidden stands in columns that differ between
-- MySQL and MariaDB. Parameters: schema, table.
SELECT * FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX
