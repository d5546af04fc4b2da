CREATE TABLE IF NOT EXISTS follows (
  author_id BIGINT UNSIGNED NOT NULL,
  follower_id BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (author_id, follower_id),
  KEY (follower_id, author_id)
);
