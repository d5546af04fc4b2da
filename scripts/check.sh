#!/usr/bin/env bash
# Runs every check that a change must pass before it is merged, the fastest first: check.sh [--no-test]
# It is the same on a laptop and in CI. --no-test skips the tests that run on real servers.
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
step 'types of the page' "$bin/tsc" -p src/console/page/tsconfig.json
# In CI tools colour what goes into a file as well; "biome ci" does so even with NO_COLOR.
colors=force
[ -t 1 ] || { colors=off && export NO_COLOR=1; }
step style "$bin/biome" ci --colors="$colors" .
step 'unused code' "$bin/knip"
# The first step has checked the types of all sources, and packing in a test builds once more with a check.
step build "$BASH" scripts/build.sh dist --noCheck
# Tools that only this script calls are listed in knip.json, since knip does not read shell scripts.
step package "$bin/publint" --strict
# The package is built already, so packing must not build it again.
step 'package types' env npm_config_ignore_scripts=true "$bin/attw" --pack . --profile esm-only
[ "$tests" = no ] || step 'deployment on ECS' "$BASH" scripts/check-ecs.sh
[ "$tests" = no ] || step tests "$BASH" scripts/run.sh 'test'
