#!/usr/bin/env bash
# Builds the package: build.sh [FOLDER [OPTIONS OF tsc]]. Compiled code, types, the Lua and SQL files beside the
# code that reads them, and the page of the console, in dist/ or the folder. It starts empty, so that files of removed sources are not published.
# --noCheck compiles in a sixth of the time, for tests and benchmarks: whoever runs them checks the types elsewhere.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$BASH" "$project/scripts/setup.sh" sluice
use_node
cd "$project"
dist=${1:-dist}
[ $# -eq 0 ] || shift
rm -rf "$dist"
node node_modules/typescript/bin/tsc -p tsconfig.build.json --outDir "$dist" "$@"
while IFS= read -r -d '' file; do
  copy=$dist/${file#src/}
  mkdir -p "$(dirname "$copy")"
  cp "$file" "$copy"
done < <(find src -type f \( -name '*.lua' -o -name '*.sql' \) -print0)
node --import tsx scripts/build-page.ts "$dist/console/page"
chmod +x "$dist/cli/main.js"
