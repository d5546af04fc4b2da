#!/usr/bin/env bash
# Runs a program of the project with the right node: run.sh demo|shop|bench|memory|simulate|test|torture|sluice ARGS...
# The shell replaces itself with node, so that node gets its signals and sets its exit code.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

program=${1-}
[ $# -eq 0 ] || shift
case $program in
  demo | sluice) purpose=$program ;;
  shop) purpose=demo ;;
  simulate) purpose=sluice ;;
  bench | memory | test | torture) purpose='test' ;;
  *) fail 'usage: scripts/run.sh demo|shop|bench|memory|simulate|test|torture|sluice [arguments]' ;;
esac
if [ "$purpose" = demo ]; then
  # If servers are given or not needed, none must be installed.
  case " $*" in
    *' --help'* | *' -h'*) export SLUICE_SETUP_NO_SERVERS=1 ;;
    *' --redis'*' --mysql'* | *' --mysql'*' --redis'*) export SLUICE_SETUP_NO_SERVERS=1 ;;
  esac
fi
"$BASH" "$project/scripts/setup.sh" "$purpose"
SLUICE_CACHE=$(cache_folder)
export SLUICE_CACHE
use_node

# By its path, since the current folder may belong to another project, with or without tsx.
tsx=(--import "file://$project/node_modules/tsx/dist/loader.mjs")
export TSX_TSCONFIG_PATH=$project/tsconfig.json

# The console serves the page from there, also if the rest runs from its sources.
build_page() {
  node "${tsx[@]}" "$project/scripts/build-page.ts"
}

case $program in
  demo)
    cd "$project"
    build_page
    exec node "${tsx[@]}" scripts/demo.ts "$@"
    ;;
  shop)
    cd "$project"
    case " $*" in
      *' --help'* | *' -h'*) ;;
      *)
        # The shop uses Sluice as a package, so it must be built, and has dependencies of its own.
        "$BASH" "$project/scripts/build.sh" dist --noCheck
        (cd examples/shop && npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
        ;;
    esac
    exec node "${tsx[@]}" scripts/shop.ts "$@"
    ;;
  simulate)
    cd "$project"
    exec node "${tsx[@]}" scripts/simulate.ts "$@"
    ;;
  torture)
    cd "$project"
    exec node "${tsx[@]}" scripts/torture.ts "$@"
    ;;
  memory)
    cd "$project"
    exec node "${tsx[@]}" bench/memory.ts "$@"
    ;;
  bench)
    cd "$project"
    exec node "${tsx[@]}" bench/main.ts "$@"
    ;;
  test)
    # Settings of the caller's shell must not change the tests.
    for name in $(compgen -e | grep -E '^(REDIS|MYSQL|SLUICE)_' | grep -vxE "SLUICE_(CACHE|IMAGE_ROOT)" || true); do
      unset "$name"
    done
    cd "$project"
    # Hundreds of processes load the same code.
    export NODE_COMPILE_CACHE=$SLUICE_CACHE/compiled
    # In CI, vitest also colours output into a file.
    [ -t 1 ] || export NO_COLOR=1
    exec node node_modules/vitest/vitest.mjs run "$@"
    ;;
  sluice)
    # File arguments are relative to the user's folder, which npm has left.
    cd "${INIT_CWD:-$PWD}"
    case " $*" in *' console'* | *' --console'*) build_page ;; esac
    exec node "${tsx[@]}" "$project/src/cli/main.ts" "$@"
    ;;
esac
