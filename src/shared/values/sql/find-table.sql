-- A table with the names of the catalogue. Parameters: schema, or null for the connection's own; table.
SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name, TABLE_TYPE AS table_type, ENGINE AS engine,
  TABLE_SCHEMA = DATABASE() AS is_own
FROM information_schema.TABLES WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ?
