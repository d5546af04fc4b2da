-- Balances of these accounts. Needs no lock: it runs behind the statement that changed, and so locked, the rows. One parameter: JSON rows [program, account].
SELECT STRAIGHT_JOIN a.program AS name, a.account AS item_key, a.balance AS value
FROM JSON_TABLE(?, '$[*]' COLUMNS (
  name VARBINARY({LIMITS.name}) PATH '$[0]', item_key VARBINARY({LIMITS.account}) PATH '$[1]')) j
JOIN sluice_accounts a ON a.program = j.name AND a.account = j.item_key
