-- The audit record of a repair. Parameters: operator, reason or null, address or null, filter as JSON.
INSERT INTO sluice_operations (action, operator, reason, address, filter, started_at)
VALUES ('repair', ?, ?, ?, ?, UTC_TIMESTAMP(3))
