-- Sums of these accounts' entries in quarantine. One parameter: JSON rows [program, account].
SELECT STRAIGHT_JOIN q.name, q.item_key, SUM(q.amount) AS amount
FROM JSON_TABLE(?, '$[*]' COLUMNS (name VARBINARY({LIMITS.name}) PATH '$[0]', item_key VARBINARY({LIMITS.key}) PATH '$[1]')) j
JOIN sluice_quarantine q ON q.kind = 'entry' AND q.name = j.name AND q.item_key = j.item_key
GROUP BY q.name, q.item_key
