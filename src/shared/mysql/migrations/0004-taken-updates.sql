-- Format 4: the operation that has taken a quarantined update, or null. Two operations never change one
-- update at the same time: an operation takes a row first, and keeps it until the row leaves quarantine or
-- the operation releases it.

ALTER TABLE sluice_quarantine ADD COLUMN operation BIGINT UNSIGNED NULL;
