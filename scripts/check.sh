#!/usr/bin/env bash
# Everything that has to pass before a change is merged, quickest first: check.sh [--no-test]
# The same on a laptop and in CI. --no-test leaves out the tests that run on real servers.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tests=yes
case ${1-} in
  '') ;;
  --no-test) tests=no ;;
  *) fail 'usage: scripts/check.sh [--no-test]' ;;
esac

step() {
  local name=$1 started=$SECONDS
  shift
  printf '== %s\n' "$name"
  if ! "$@"; then
    printf '== %s: FAILED after %d s\n' "$name" $((SECONDS - started))
    exit 1
  fi
  printf '== %s: ok, %d s\n' "$name" $((SECONDS - started))
}

purpose=sluice
[ "$tests" = no ] || purpose='test'
step set-up "$BASH" "$project/scripts/setup.sh" "$purpose"
use_node
cd "$project"
bin=node_modules/.bin
step types "$bin/tsc" -p tsconfig.json
# "biome ci" colours every character even in a log file.
colors=off
[ ! -t 1 ] || colors=force
step style "$bin/biome" ci --colors="$colors" .
step 'unused code' "$bin/knip"
step build "$BASH" scripts/build.sh
# The tools that only this script calls are named in knip.json, since knip does not read shell scripts.
step package "$bin/publint" --strict
# The package is built already: packing must not build it again.
step 'package types' env npm_config_ignore_scripts=true "$bin/attw" --pack . --profile esm-only
[ "$tests" = no ] || step 'deployment on ECS' "$BASH" scripts/check-ecs.sh
[ "$tests" = no ] || step tests "$BASH" scripts/run.sh 'test'
