-- Adds sums to a mapped column, in rows that exist. One parameter: JSON rows [key, amount]. Matched rows are counted
-- by the caller. The index is forced because a scan would wait for the locks of rows that are none of ours.
UPDATE JSON_TABLE(?, '$[*]' COLUMNS (item_key {keyType} PATH '$[0]', amount BIGINT PATH '$[1]')) j
STRAIGHT_JOIN {table} t FORCE INDEX ({index}) ON t.{key} = j.item_key
SET t.{column} = COALESCE(t.{column}, 0) + j.amount
