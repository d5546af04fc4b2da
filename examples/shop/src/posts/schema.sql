-- `request` is the caller's name for it, so that a repeated request makes one post. While `is_due`, nobody has put it
-- into the feeds of the followers: that is an outbox, since MySQL and Redis share no transaction.
CREATE TABLE IF NOT EXISTS posts (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  user_id BIGINT UNSIGNED NOT NULL,
  request VARBINARY(64) NULL,
  body VARCHAR(1000) NOT NULL,
  is_due BOOLEAN NOT NULL DEFAULT TRUE,
  created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
  UNIQUE KEY (user_id, request),
  KEY (user_id, id),
  KEY (is_due, id)
) CHARACTER SET utf8mb4;

-- Authors whose posts are read, not fanned out. Once here, an author stays: otherwise posts of the time between would
-- be in no feed.
CREATE TABLE IF NOT EXISTS big_authors (
  user_id BIGINT UNSIGNED NOT NULL PRIMARY KEY
);
