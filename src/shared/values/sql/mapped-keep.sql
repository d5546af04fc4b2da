-- Puts values into existing rows of a mapped table; as mapped-add.sql. One parameter: JSON rows [value, key, parts].
UPDATE JSON_TABLE(?, '$[*]' COLUMNS (amount BIGINT PATH '$[0]', {typedKeys})) j
STRAIGHT_JOIN {table} t FORCE INDEX ({index}) ON {equalKeys}
SET t.{column} = IF({replaces}, {amount}, t.{column})
