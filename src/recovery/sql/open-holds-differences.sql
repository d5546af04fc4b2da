-- Programs whose sums of open holds are not those of their rows, in one partition. One statement, since a flush writes
-- both together. Parameters: the partition, twice.
SELECT program, SUM(kept) AS kept_holds, SUM(kept_amount) AS kept_points, SUM(found) AS holds, SUM(amount) AS points
FROM (
  SELECT program, holds AS kept, points AS kept_amount, 0 AS found, 0 AS amount
  FROM sluice_open_holds WHERE partition_id = ?
  UNION ALL
  SELECT program, 0, 0, COUNT(*), SUM(amount)
  FROM sluice_holds WHERE status = 'open' AND partition_id = ? GROUP BY program
) sums
GROUP BY program HAVING SUM(kept) <> SUM(found) OR SUM(kept_amount) <> SUM(amount)
