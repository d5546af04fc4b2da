-- The audit record of a recovery. Parameters: operator, reason or null, filter as JSON.
INSERT INTO sluice_operations (action, operator, reason, filter, started_at)
VALUES ('recover', ?, ?, ?, UTC_TIMESTAMP(3))
