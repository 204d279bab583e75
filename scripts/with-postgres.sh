#!/usr/bin/env bash
# Runs a command beside a PostgreSQL cluster that is made for it and removed after it.
#
#   scripts/with-postgres.sh [--collation icu:en] COMMAND [ARGUMENT…]
#
# COMMAND finds ACRE_TEST_POSTGRES=postgres://… in its environment: a superuser, with a random password,
# on a loopback port. fsync is on: the tests are about what survives. Names sort by bytes (C), or
# by a language with --collation icu:LANGUAGE, which every database then has by default.
# The exit status is the command's; 125 says that the cluster could not be had.
set -euo pipefail

collation=C
if [ "${1:-}" = --collation ]; then collation=${2:?with-postgres: --collation needs a value, for example icu:en}; shift 2; fi
[ $# -gt 0 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }

die() { printf 'with-postgres: %s\n' "$*" >&2; exit 125; }

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
if [ -z "$bin" ]; then
  bin=$(command -v initdb) || die "no initdb: install postgresql (scripts/install-test-tools.sh does)"
  bin=$(dirname "$bin")
fi

# PostgreSQL refuses to run as root.
as=()
owner=$(id -un)
if [ "$(id -u)" -eq 0 ]; then
  owner=postgres
  id "$owner" >/dev/null 2>&1 || owner=nobody
  as=(setpriv --reuid="$owner" --regid="$(id -gn "$owner")" --clear-groups --)
fi

dir=$(mktemp -d /tmp/acre-postgres.XXXXXX)
stop() {
  [ ! -f "$dir/data/postmaster.pid" ] || "${as[@]}" "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null || true
  rm -rf "$dir"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
printf '%s\n' "$password" >"$dir/password"
chown -R "$owner" "$dir"
chmod 700 "$dir"
cd "$dir"

case $collation in
  C) locale=(--no-locale) ;;
  icu:?*) locale=(--locale-provider=icu "--icu-locale=${collation#icu:}" --locale=C.UTF-8) ;;
  *) die "unknown collation $collation: C or icu:LANGUAGE" ;;
esac
"${as[@]}" "$bin/initdb" -D "$dir/data" -U acre -E UTF8 "${locale[@]}" --auth=scram-sha-256 --pwfile="$dir/password" \
  >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; die "initdb failed"; }
cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$dir'
max_connections = 300
CONF

# A free port cannot be reserved, so try until one is.
port=
for try in 1 2 3 4 5 6 7 8 9 10; do
  candidate=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
  if "${as[@]}" "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -o "-p $candidate" start >/dev/null 2>&1; then
    port=$candidate
    break
  fi
done
[ -n "$port" ] || { cat "$dir/log" >&2; die "the server did not start on any of $try ports"; }

cd "$OLDPWD"
export ACRE_TEST_POSTGRES="postgres://acre:$password@127.0.0.1:$port/postgres?sslmode=disable"
status=0
"$@" || status=$?
exit "$status"
