-- Counters and programs that have rows, also those that the definitions name no longer.
SELECT DISTINCT 'c' AS kind, counter AS name FROM sluice_counters
UNION SELECT DISTINCT 'p', program FROM sluice_accounts
UNION SELECT DISTINCT 'p', program FROM sluice_entries
