#!/usr/bin/env bash
# Makes the passwords of docker-compose.yml, once: deploy/compose/secrets.sh [FOLDER]
# Containers read them as files, so they are in no environment and in no `docker inspect`. What exists is left as it is.
set -euo pipefail
folder=${1:-$(dirname "${BASH_SOURCE[0]}")/secrets}
# Only its owner enters the folder; the files themselves must be readable for the containers' users.
(umask 077 && mkdir -p "$folder")

names='redis_password shop_redis_password cache_password mysql_password mysql_root_password grafana_password session_secret admin_key'
for name in $names; do
  [ -e "$folder/$name" ] || od -An -vtx1 -N24 /dev/urandom | tr -d ' \n' >"$folder/$name"
done
# Redis gets hashes of the passwords, not the passwords.
hash() { sha256sum "$folder/$1" | cut -d ' ' -f 1; }
default='user default on nopass resetkeys resetchannels -@all +ping'
# Sluice's rights are those of docs/rights.md. The shop has jobs, sessions and limits in the same Redis.
cat >"$folder/redis_users" <<END
$default
user shop on #$(hash shop_redis_password) resetchannels &* ~* +@all -@dangerous +info +slowlog
user sluice on #$(hash redis_password) resetchannels ~{sluice}:* ~{sluice:* +@read +@write +@connection -@dangerous +eval +evalsha +script|load +script|exists +info +time +multi +exec
END
cat >"$folder/cache_users" <<END
$default
user cache on #$(hash cache_password) resetchannels &* ~* +@all -@dangerous +info +slowlog
END
chmod 644 "$folder"/*
