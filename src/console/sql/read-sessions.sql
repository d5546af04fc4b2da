-- A login without a role of its own has that of its user, and ends with it.
SELECT login.token, login.name, COALESCE(user.role, login.role) AS role, login.role IS NOT NULL AS is_openid,
  TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(3), login.expires_at) DIV 1000 AS left_ms
FROM sluice_sessions AS login LEFT JOIN sluice_users AS user ON user.name = login.name
WHERE login.expires_at > UTC_TIMESTAMP(3) AND (login.role IS NULL) = (user.name IS NOT NULL)
