-- GREATEST of a null is null: the first use counts as it is.
UPDATE sluice_keys SET last_used_at = GREATEST(COALESCE(last_used_at, ?), ?) WHERE id = ?
