-- The columns of a table. Parameters: schema, table.
SELECT COLUMN_NAME AS column_name, DATA_TYPE AS data_type, COLUMN_TYPE AS column_type,
  COLLATION_NAME AS collation_name, CHARACTER_MAXIMUM_LENGTH AS max_length, IS_NULLABLE AS nullable,
  COLUMN_DEFAULT AS default_value, EXTRA AS extra, GENERATION_EXPRESSION AS generation
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION
