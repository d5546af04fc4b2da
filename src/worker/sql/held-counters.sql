-- The newest held row of each of these keys of counters or values. Parameters: JSON rows [name, key], kind.
SELECT STRAIGHT_JOIN MAX(q.id) AS id
FROM JSON_TABLE(?, '$[*]' COLUMNS (name VARBINARY({LIMITS.name}) PATH '$[0]', item_key VARBINARY({LIMITS.key}) PATH '$[1]')) j
JOIN sluice_quarantine q ON q.kind = ? AND q.name = j.name AND q.item_key = j.item_key
WHERE q.cause = 'held'
GROUP BY q.name, q.item_key
