-- Adds sums to existing rows of a mapped table. The caller checks the number of matched rows. The index is
-- forced, since a scan would wait for the locks of other rows. One parameter: JSON rows [key, amount].
UPDATE JSON_TABLE(?, '$[*]' COLUMNS (item_key {keyType} PATH '$[0]', amount BIGINT PATH '$[1]')) j
STRAIGHT_JOIN {table} t FORCE INDEX ({index}) ON t.{key} = j.item_key
SET t.{column} = COALESCE(t.{column}, 0) + j.amount
