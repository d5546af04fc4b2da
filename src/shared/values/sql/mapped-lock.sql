-- Locks the rows of these keys, and returns the keys that have one. A join with JSON_TABLE cannot lock: MySQL
-- answers ER_DUPLICATE_TABLE_LOCK. The value is selected only so that the index alone does not suffice: for
-- many keys the servers would read, and lock, all of it. One parameter: the keys, each as a list of its parts.
SELECT {keyTexts}, t.{column} AS value FROM {table} t FORCE INDEX ({index}) WHERE ({keys}) IN (?) FOR UPDATE
