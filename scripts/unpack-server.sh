#!/usr/bin/env bash
# Unpacks servers of exact versions beside the system: unpack-server.sh FOLDER redis7|redis8|valkey9|mariadb|galera|mysql97|prometheus|compose ...
# Each gets FOLDER/NAME with Debian's packages and all their libraries; the commands are in FOLDER/NAME/bin.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Sets for a name: the Debian release, the packages, the commands, and the required version.
describe() {
  case $1 in
    redis7) release=bookworm packages=(redis-server redis-tools) version='v=7.'
      binaries=(usr/bin/redis-server usr/bin/redis-cli usr/bin/redis-benchmark) ;;
    redis8) release=sid packages=(redis-server redis-tools) version='v=8.'
      binaries=(usr/bin/redis-server usr/bin/redis-cli usr/bin/redis-benchmark) ;;
    valkey9) release=sid packages=(valkey-server valkey-tools) version='v=9.'
      binaries=(usr/bin/valkey-server usr/bin/valkey-cli usr/bin/valkey-benchmark) ;;
    mariadb) release=bookworm packages=(mariadb-server-core) version='10.11.'
      binaries=(usr/sbin/mariadbd) ;;
    # MariaDB again, with the library for clusters, so that both run with the same libraries.
    galera) release=bookworm packages=(mariadb-server-core galera-4) version='10.11.'
      binaries=(usr/sbin/mariadbd) ;;
    mysql97) release=sid packages=(mysql-server-core) version='Ver 9.7.'
      binaries=(usr/sbin/mysqld) ;;
    # Not a server of the engine: tests scrape workers with it, and check rules and metrics with promtool.
    prometheus) release=bookworm packages=(prometheus) version='version 2.'
      binaries=(usr/bin/prometheus usr/bin/promtool) ;;
    # Any version: a test only lets it read docker-compose.yml.
    compose) release=sid packages=(docker-compose) version='Docker Compose version '
      binaries=(usr/libexec/docker/cli-plugins/docker-compose) ;;
    *) fail "unpack-server: unknown server '$1'" ;;
  esac
}

# The machine's own Debian mirror is the closest one; Ubuntu's mirrors do not carry Debian.
mirrors() {
  {
    grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null || true
    echo 'http://deb.debian.org/debian'
  } | sed 's#/* *$##' | awk '!seen[$0]++'
}

# Makes an apt that knows one release and no installed package, so that it lists every library needed.
prepare_apt() {
  local folder=$1 release=$2 mirror
  mkdir -p "$folder"/{lists/partial,cache/archives/partial,debs}
  : >"$folder/status"
  {
    # The machine's own way to its mirror (a proxy, a mirror frozen at a date) is used here too;
    # the rest of its apt configuration is not. Signatures are always checked.
    apt-config dump | grep -E '^Acquire::(http|https|Proxy|Check-Valid-Until|Check-Date)' || true
    cat <<CONFIGURATION
Dir::Etc::main "/dev/null";
Dir::Etc::Parts "/dev/null";
Dir::Etc::SourceList "$folder/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State::Lists "$folder/lists";
Dir::State::status "$folder/status";
Dir::Cache "$folder/cache";
APT::Sandbox::User "";
APT::Install-Recommends "false";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "3";
Debug::NoLocking "true";
CONFIGURATION
  } >"$folder/apt.conf"
  while read -r mirror; do
    echo "deb [signed-by=$keyring] $mirror $release main" >"$folder/sources.list"
    if APT_CONFIG=$folder/apt.conf apt-get -qq update >"$folder/log" 2>&1; then return 0; fi
  done < <(mirrors)
  cat "$folder/log" >&2
  fail "no mirror offers Debian $release"
}

# Packages that only maintainer scripts or an installed system need.
not_needed='^(perl|libperl|libgdbm|libdb5|dpkg|tar|usrmerge|init-system|sysvinit|lsb-base|libpam|libsemanage|libsepol|passwd|login|adduser|base-passwd|debconf|libdebconf|libaudit|libcap-ng|systemd|libsystemd-shared|libmount|libblkid|lib.*-perl$|libc-gconv)'

# Downloads the packages of these servers of one release, each file once, and unpacks each server.
unpack_release() {
  local folder=$1 name
  shift
  describe "$1"
  prepare_apt "$folder" "$release"
  export APT_CONFIG=$folder/apt.conf
  for name in "$@"; do
    describe "$name"
    # Lines of: 'address' file size checksum
    apt-get -qq --print-uris install "${packages[@]}" >"$folder/$name.uris" 2>"$folder/log" || {
      cat "$folder/log" >&2
      fail "Debian $release does not offer ${packages[*]}"
    }
    awk -v skip="$not_needed" '{ split($2, part, "_"); if (part[1] !~ skip) print part[1], $2 }' \
      "$folder/$name.uris" >"$folder/$name.files"
  done
  cut -d' ' -f1 "$folder"/*.files | sort -u >"$folder/wanted"
  (cd "$folder/debs" && xargs apt-get -qq download <"$folder/wanted") >"$folder/log" 2>&1 || {
    cat "$folder/log" >&2
    fail "could not download from Debian $release"
  }
  for name in "$@"; do build_server "$folder" "$name"; done
}

# All work happens in a temporary folder; the rename at the end makes the server complete or absent.
build_server() {
  local folder=$1 name=$2 built=$1/$2 file binary said
  describe "$name"
  mkdir -p "$built"/{root,bin}
  while read -r _ file; do
    dpkg-deb -x "$folder/debs/$file" "$built/root"
  done <"$folder/$name.files"
  # Wrappers find their files relative to themselves, so the folder can be moved.
  local loader libraries
  loader=$(cd "$built" && find root -name 'ld-linux*.so.*' | head -1)
  libraries=$(cd "$built" && find root -maxdepth 3 -type d -path '*/lib/*-linux-gnu*' | sed "s#^#\$here/#" | paste -sd:)
  for binary in "${binaries[@]}"; do
    write_wrapper "$built/bin/$(basename "$binary")" "$loader" "$libraries" "root/$binary"
  done
  case $name in mariadb | galera) write_mariadb_initialiser "$built/bin/mariadb-install-db" ;; esac
  [ "$name" != galera ] || write_state_transfer "$built/root/usr/bin/wsrep_sst_ist"
  said=$("$built/bin/$(basename "${binaries[0]}")" --version) || fail "$name was unpacked but does not run"
  case $said in
    *"$version"*) ;;
    *) fail "$name should be version ${version#*[= ]}x, but Debian $release now has: $said" ;;
  esac
  rm -rf "${destination:?}/$name"
  mv -T "$built" "$destination/$name"
  say "unpacked $said"
}

write_wrapper() {
  local flags=''
  case $1 in
    */mysqld) flags="--no-defaults --basedir=\$here/root/usr --lc-messages-dir=\$here/root/usr/share/mysql --plugin-dir=\$here/root/usr/lib/mysql/plugin --mysqlx=OFF --secure-file-priv=NULL" ;;
    */mariadbd) flags="--no-defaults --basedir=\$here/root/usr --lc-messages-dir=\$here/root/usr/share/mysql --character-sets-dir=\$here/root/usr/share/mysql/charsets --plugin-dir=\$here/root/usr/lib/mysql/plugin" ;;
  esac
  cat >"$1" <<WRAPPER
#!/bin/sh
here=\$(cd "\$(dirname "\$0")/.." && pwd)
exec "\$here/$2" --library-path "$3" "\$here/$4" $(for flag in $flags; do printf '"%s" ' "$flag"; done)"\$@"
WRAPPER
  chmod 755 "$1"
}

# The original script would run the bare server, without its libraries. Same options, same SQL files.
write_mariadb_initialiser() {
  cat >"$1" <<'INITIALISER'
#!/bin/sh
# Fills a data folder: mariadb-install-db --datadir=FOLDER [--user=NAME]; root has an empty password.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
share=$here/root/usr/share/mysql
datadir='' user=''
for argument; do
  case $argument in
    --datadir=*) datadir=${argument#*=} ;;
    --user=*) user=$argument ;;
  esac
done
mkdir -p "$datadir/mysql"
{
  # --bootstrap expects one statement per line.
  printf '%s\n' 'CREATE DATABASE IF NOT EXISTS mysql;' 'USE mysql;' 'SET @auth_root_socket=NULL;' 'SET @skip_auth_anonymous=1;'
  cat "$share/mysql_system_tables.sql" "$share/mysql_performance_tables.sql" \
    "$share/mysql_system_tables_data.sql" "$share/maria_add_gis_sp_bootstrap.sql" "$share/mysql_sys_schema.sql"
} | "$here/bin/mariadbd" --bootstrap "--datadir=$datadir" ${user:+"$user"} --log-warnings=0 \
  --enforce-storage-engine= --max-allowed-packet=8M --net-buffer-length=16K --skip-log-bin
INITIALISER
  chmod 755 "$1"
}

# Galera runs a script for every member that joins. This one needs neither rsync nor MariaDB's own scripts.
write_state_transfer() {
  cat >"$1" <<'TRANSFER'
#!/bin/sh
# State transfer "ist" of a Galera cluster on one machine, without any copy of the data. A returning member gets
# what it missed from another member's cache; a member that missed too much is refused.
set -eu
role='' address='' gtid='' bypass='' data=''
while [ $# -gt 0 ]; do
  case $1 in
    --role) role=$2 && shift ;;
    --address) address=$2 && shift ;;
    --gtid) gtid=$2 && shift ;;
    --datadir) data=$2 && shift ;;
    --bypass) bypass=1 ;;
  esac
  shift
done
case $role in
  joiner)
    answer=$data/ist-position
    rm -f "$answer"
    echo "ready $address/$answer"
    while [ ! -f "$answer" ]; do sleep 0.05; kill -0 "$PPID"; done
    cat "$answer"
    ;;
  donor)
    [ -n "$bypass" ] || { echo 'the member is too far behind' >&2; exit 1; }
    answer=${address#*/}
    echo "$gtid" >"$answer.new"
    mv "$answer.new" "$answer"
    echo "done $gtid"
    ;;
esac
TRANSFER
  chmod 755 "$1"
}

[ $# -ge 2 ] || fail 'usage: scripts/unpack-server.sh FOLDER NAME...'
mkdir -p "$1"
destination=$(cd "$1" && pwd)
shift

missing_servers() {
  local name
  for name in "$@"; do [ -d "$destination/$name" ] || echo "$name"; done
}
[ -n "$(missing_servers "$@")" ] || exit 0

for tool in apt-get apt-config dpkg-deb; do
  command -v "$tool" >/dev/null || fail "$tool is missing: the test servers need Debian or Ubuntu"
done
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ -f "$keyring" ] || apt_install debian-archive-keyring
lock "$destination"
mapfile -t missing < <(missing_servers "$@")
[ ${#missing[@]} -gt 0 ] || exit 0
say "unpacking ${missing[*]} into $destination"
work=$(mktemp -d "$destination/.unpack.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

runs=()
for wanted in bookworm sid; do
  names=()
  for name in "${missing[@]}"; do
    describe "$name"
    [ "$release" != "$wanted" ] || names+=("$name")
  done
  [ ${#names[@]} -gt 0 ] || continue
  unpack_release "$work/$wanted" "${names[@]}" &
  runs+=($!)
done
for run in "${runs[@]}"; do
  wait "$run" || fail 'not all test servers could be unpacked (the messages above say why)'
done
