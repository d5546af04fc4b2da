#!/usr/bin/env bash
# Checks deploy/ecs, a separate package: types, the synthesized template, and the AWS Solutions rules. It needs
# no account. Its 225 MB are installed once, in about 20 s, and again when the lockfile changes.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

use_node
cd "$project/deploy/ecs"
installed=node_modules/.sluice-lock
if [ ! -f "$installed" ] || [ "$(cksum <package-lock.json)" != "$(cat "$installed")" ]; then
  refuse_link "$PWD/node_modules"
  say 'installing the npm dependencies of deploy/ecs'
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2 || fail 'npm ci failed in deploy/ecs'
  cksum <package-lock.json >"$installed"
fi
npm test --silent
