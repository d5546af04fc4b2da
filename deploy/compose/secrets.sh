#!/usr/bin/env bash
# Makes the passwords of docker-compose.yml, once: deploy/compose/secrets.sh [FOLDER]
# Containers read them as files, so they are in no environment and in no `docker inspect`. What exists is left as it is.
set -euo pipefail
folder=${1:-$(dirname "${BASH_SOURCE[0]}")/secrets}
# Only its owner enters the folder; the files themselves must be readable for the containers' users.
(umask 077 && mkdir -p "$folder")

for name in redis_password mysql_password mysql_root_password grafana_password; do
  [ -e "$folder/$name" ] || od -An -vtx1 -N24 /dev/urandom | tr -d ' \n' >"$folder/$name"
done
# The rights are those of docs/rights.md. Redis gets a hash of the password, not the password.
hash=$(sha256sum "$folder/redis_password" | cut -d ' ' -f 1)
cat >"$folder/redis_users" <<END
user default on nopass resetkeys resetchannels -@all +ping
user sluice on #$hash resetchannels ~{sluice}:* ~{sluice:* +@read +@write +@connection -@dangerous +eval +evalsha +script|load +script|exists +info +time +multi +exec
END
chmod 644 "$folder"/*
