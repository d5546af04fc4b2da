#!/usr/bin/env bash
# Prints the bill of materials of a production install as CycloneDX JSON: sbom.sh >sbom.cdx.json
# The image has its own, made in the same way (Dockerfile). None is committed: it would fall behind the lockfile.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

use_node
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$project/package.json" "$project/package-lock.json" "$project/.npmrc" "$work"
cd "$work"
npm ci --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error >&2
# npm sbom --omit=dev also omits packages that a development tool shares, so the tools are removed first.
npm pkg delete devDependencies
npm sbom --sbom-format cyclonedx
