-- The newest recovery with this filter that was declared and not finished. Parameter: the filter.
SELECT id FROM sluice_operations WHERE action = 'recover' AND finished_at IS NULL AND filter = ? ORDER BY id DESC LIMIT 1
