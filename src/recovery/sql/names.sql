-- Counters and programs that have rows, including those without a definition.
SELECT DISTINCT 'c' AS kind, counter AS name FROM sluice_counters
UNION SELECT DISTINCT 'p', program FROM sluice_accounts
UNION SELECT DISTINCT 'p', program FROM sluice_entries
UNION SELECT DISTINCT 'p', program FROM sluice_holds
