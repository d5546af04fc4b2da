-- A recovery of this kind that was declared and not carried out. Parameter: the filter.
SELECT id FROM sluice_operations WHERE action = 'recover' AND finished_at IS NULL AND filter = ? ORDER BY id DESC LIMIT 1
