-- The audit record of a repair. Parameters: operator, reason or null, filter as JSON.
INSERT INTO sluice_operations (action, operator, reason, filter, started_at)
VALUES ('repair', ?, ?, ?, UTC_TIMESTAMP(3))
