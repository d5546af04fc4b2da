-- Backfills that are not finished, with the age of their progress in microseconds and how long they took until then.
-- A page may have megabytes, so it is not read.
SELECT run, spec, counts, page IS NOT NULL AS hasPage, receipts IS NOT NULL AS isAccepted,
  owned_until > UTC_TIMESTAMP(3) AS isCarriedOut,
  TIMESTAMPDIFF(MICROSECOND, moved_at, UTC_TIMESTAMP(3)) AS age,
  TIMESTAMPDIFF(MICROSECOND, started_at, moved_at) AS took
FROM sluice_backfills WHERE finished_at IS NULL ORDER BY started_at DESC, run LIMIT 20
