#!/usr/bin/env bash
# Builds the package into dist/: compiled code, types, and the Lua and SQL files beside the code that reads them.
# Starts from an empty dist/, so that nothing of a removed source file is published.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

"$BASH" "$project/scripts/setup.sh" sluice
use_node
cd "$project"
rm -rf dist
node node_modules/typescript/bin/tsc -p tsconfig.build.json
while IFS= read -r -d '' file; do
  copy=dist/${file#src/}
  mkdir -p "$(dirname "$copy")"
  cp "$file" "$copy"
done < <(find src -type f \( -name '*.lua' -o -name '*.sql' \) -print0)
chmod +x dist/cli/main.js
