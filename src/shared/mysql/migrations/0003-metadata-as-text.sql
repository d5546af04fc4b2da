-- Format 3: metadata is the text that its caller wrote. The type JSON rounds 1546130668394913822.5, refuses
-- 1e400 and turns 1.00 into 1.0. MariaDB's JSON is text with a check, which this removes. Existing rows keep
-- the server's text.

ALTER TABLE sluice_entries MODIFY metadata LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL;
