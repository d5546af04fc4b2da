-- A page of a counter's keys. Parameters: counter, last key of the page before or null, the same again, rows at most.
SELECT counter_key AS item_key FROM sluice_counters
WHERE counter = ? AND (? IS NULL OR counter_key > ?) ORDER BY counter_key LIMIT ?
