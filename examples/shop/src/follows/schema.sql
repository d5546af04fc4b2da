CREATE TABLE IF NOT EXISTS follows (
  author_id BIGINT UNSIGNED NOT NULL,
  follower_id BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (author_id, follower_id),
  KEY (follower_id, author_id)
);

-- Feeds that are to be forgotten, since their users follow another author; `id` names the follow that says so.
CREATE TABLE IF NOT EXISTS follows_due (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  follower_id BIGINT UNSIGNED NOT NULL,
  created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)
);
