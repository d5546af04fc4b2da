-- Locks the rows of these keys, and returns the keys that have one. A join with JSON_TABLE cannot lock: MySQL
-- answers ER_DUPLICATE_TABLE_LOCK. One parameter: the keys.
SELECT t.{key} AS item_key FROM {table} t FORCE INDEX ({index}) WHERE t.{key} IN (?) FOR UPDATE
