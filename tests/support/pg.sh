#!/bin/sh
# A private PostgreSQL cluster for tests: tests/support/pg.sh start|stop|crash DIR
# Unix socket in DIR only, collation C, fsync on. Started by root it runs as an unprivileged user. Starting a running one is fine.
set -eu
dir=$2
bin=${HS_TEST_PG_BIN:-}
if [ -z "$bin" ]; then
    bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
fi
user=
if [ "$(id -u)" = 0 ]; then
    user=postgres
    id -u $user >/dev/null 2>&1 || user=nobody
fi
as() {
    if [ -n "$user" ]; then runuser -u $user -- "$@"; else "$@"; fi
}

case $1 in
start)
    if [ ! -s "$dir/data/PG_VERSION" ]; then
        rm -rf "$dir"
        mkdir -p "$dir"
        chmod 755 "$dir"
        if [ -n "$user" ]; then chown $user "$dir"; fi
        as "$bin/initdb" -D "$dir/data" -U hs -A trust -E UTF8 --locale=C >"$dir/initdb.log"
    fi
    if ! as "$bin/pg_ctl" -D "$dir/data" status >/dev/null 2>&1; then
        rm -f "$dir/data/postmaster.pid"
        as "$bin/pg_ctl" -D "$dir/data" -l "$dir/data/log" -w -t 60 -o \
            "-c listen_addresses='' -c unix_socket_directories=$dir -c max_connections=200 -c shared_buffers=256MB -c max_wal_size=2GB" \
            start >/dev/null
    fi
    ;;
crash) # as a power cut: nothing is written any more; then it starts again
    as "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null
    exec "$0" start "$dir"
    ;;
stop)
    as "$bin/pg_ctl" -D "$dir/data" -m fast -w stop >/dev/null
    rm -rf "$dir"
    ;;
*)
    echo "usage: $0 start|stop|crash DIR" >&2
    exit 2
    ;;
esac
