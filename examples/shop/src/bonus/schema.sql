-- One row for each year: how far the bonus is. `last_user` moves only behind what is in MySQL.
CREATE TABLE IF NOT EXISTS bonus_runs (
  year SMALLINT UNSIGNED NOT NULL PRIMARY KEY,
  points INT UNSIGNED NOT NULL,
  last_user BIGINT UNSIGNED NOT NULL DEFAULT 0,
  users BIGINT UNSIGNED NOT NULL DEFAULT 0,
  refused BIGINT UNSIGNED NOT NULL DEFAULT 0,
  total BIGINT UNSIGNED NOT NULL,
  started_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  ended_at TIMESTAMP(3) NULL
);
