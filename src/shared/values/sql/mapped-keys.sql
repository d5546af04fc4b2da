-- A page of a mapped table's keys. Parameters: last key of the previous page or null, the same again, page
-- size.
SELECT t.{key} AS item_key FROM {table} t
WHERE t.{key} IS NOT NULL AND (? IS NULL OR t.{key} > ?) ORDER BY t.{key} LIMIT ?
