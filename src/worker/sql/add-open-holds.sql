-- Adds to the sums of open holds. One parameter: JSON rows [program, partition, holds, points], below 0 for those that ended.
INSERT INTO sluice_open_holds (program, partition_id, holds, points)
SELECT j.program, j.partition_id, j.holds, j.points FROM JSON_TABLE(?, '$[*]' COLUMNS (
  program VARBINARY({LIMITS.name}) PATH '$[0]', partition_id SMALLINT UNSIGNED PATH '$[1]',
  holds BIGINT PATH '$[2]', points DECIMAL(38, 0) PATH '$[3]')) j
ON DUPLICATE KEY UPDATE holds = sluice_open_holds.holds + j.holds, points = sluice_open_holds.points + j.points
