-- What the pretend provider remembers.
CREATE TABLE IF NOT EXISTS pretend_charges (
  order_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  cents INT UNSIGNED NOT NULL
);
