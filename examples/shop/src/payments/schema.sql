-- `is_settled`: nothing is left to do, so the sweep need not look at it.
CREATE TABLE IF NOT EXISTS payments (
  order_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  product_id BIGINT UNSIGNED NOT NULL,
  user_id BIGINT UNSIGNED NOT NULL,
  cents INT UNSIGNED NOT NULL,
  state ENUM('begun', 'taken', 'paid', 'done', 'sold_out', 'declined') NOT NULL DEFAULT 'begun',
  is_settled TINYINT NOT NULL DEFAULT 0,
  updated_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  KEY (is_settled, updated_at)
);
