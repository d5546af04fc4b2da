-- Format 4: the operation that has taken a quarantined update, so that two operators never change one at the same time. Null
-- if none has. An operation takes a row before it changes anything, and the row stays its own until it is out of quarantine
-- or the operation lets it go.

ALTER TABLE sluice_quarantine ADD COLUMN operation BIGINT UNSIGNED NULL;
