-- Writes the audit record of an operation before its first change, with the newest quarantined row that it
-- may change. Parameters: action, operator, reason or null, address or null, filter as JSON, that row's number or null
-- for the newest one now.
INSERT INTO sluice_operations (action, operator, reason, address, filter, last_id, started_at)
SELECT ?, ?, ?, ?, ?, COALESCE(?, MAX(id), 0), UTC_TIMESTAMP(3) FROM sluice_quarantine
