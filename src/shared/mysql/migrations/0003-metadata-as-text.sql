-- Format 3: metadata is the text that its caller wrote. The type JSON rounds 1546130668394913822.5, refuses 1e400 and makes 1.0
-- of 1.00; MariaDB's is text with a check, which this takes away. What is there already stays as the server prints it.

ALTER TABLE sluice_entries MODIFY metadata LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL;
