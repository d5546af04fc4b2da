-- A page of a mapped table's keys, in the order of the index. Parameters: the last key of the previous page
-- or nulls: its first part, then its parts as `laterKeys` needs them; page size.
SELECT {keyTexts} FROM {table} t
WHERE {namedKeys} AND (? IS NULL OR {laterKeys}) ORDER BY {orderedKeys} LIMIT ?
