-- A page of the keys of a counter or program. Parameters: name, last key of the page before or null, the same
-- again, rows at most.
SELECT {key} AS item_key FROM {table} WHERE {name} = ? AND (? IS NULL OR {key} > ?) ORDER BY {key} LIMIT ?
