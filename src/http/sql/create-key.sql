INSERT INTO sluice_keys (id, name, secret, rights, created_at, expires_at)
VALUES (?, ?, ?, ?, UTC_TIMESTAMP(3), ?)
