-- Adds sums to existing rows of a mapped table. The caller checks the number of matched rows. The index is
-- forced, since a scan would wait for the locks of other rows. One parameter: JSON rows [amount, key, parts].
UPDATE JSON_TABLE(?, '$[*]' COLUMNS (amount BIGINT PATH '$[0]', {typedKeys})) j
STRAIGHT_JOIN {table} t FORCE INDEX ({index}) ON {equalKeys}
SET t.{column} = COALESCE(t.{column}, 0) + j.amount
