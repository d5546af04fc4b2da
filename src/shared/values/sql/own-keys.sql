-- A page of the keys of a counter or program. Parameters: name, last key of the previous page or null, the
-- same again, page size.
SELECT {key} AS item_key FROM {table} WHERE {name} = ? AND (? IS NULL OR {key} > ?) ORDER BY {key} LIMIT ?
