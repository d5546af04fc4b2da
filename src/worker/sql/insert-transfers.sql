-- Notes transfers as in transit. One parameter: JSON rows [transfer, program, from, to, id of the debit, amount].
-- CRC32 chooses the partition, as in keys.ts.
INSERT INTO sluice_transfers
  (transfer, program, from_account, to_account, entry_id, amount, to_partition, created_at, driven_at)
SELECT j.transfer, j.program, j.from_account, j.to_account, j.entry_id, j.amount, CRC32(j.to_account) MOD m.partitions,
  UTC_TIMESTAMP(3), UTC_TIMESTAMP(3)
FROM (SELECT CAST(CAST(value AS CHAR) AS UNSIGNED) AS partitions FROM sluice_meta WHERE name = 'partitions') m,
JSON_TABLE(?, '$[*]' COLUMNS (
  transfer VARBINARY({LIMITS.transfer}) PATH '$[0]', program VARBINARY({LIMITS.name}) PATH '$[1]',
  from_account VARBINARY({LIMITS.account}) PATH '$[2]', to_account VARBINARY({LIMITS.account}) PATH '$[3]',
  entry_id VARBINARY({LIMITS.id}) PATH '$[4]', amount BIGINT PATH '$[5]')) j
