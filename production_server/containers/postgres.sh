#!/bin/sh
# Start PostgreSQL in its container. The first start makes the database of the service, and its account,
# which may do nothing else.
set -eu
bin=$(echo /usr/lib/postgresql/*/bin)
data=/var/lib/postgresql/data
version=$(basename "$(dirname "$bin")")
if [ ! -e $data ]; then
    # From a first start that was stopped.
    rm -rf $data.new
    "$bin/initdb" --pgdata=$data.new --encoding=UTF8 --locale=C.UTF-8 --data-checksums \
        --auth-local=peer --auth-host=scram-sha-256 > /dev/null
    echo "host stackserve stackserve all scram-sha-256" >> $data.new/pg_hba.conf
    # Nobody can connect to it yet, and no command line has the password.
    printf "CREATE ROLE stackserve LOGIN PASSWORD '%s'\nCREATE DATABASE stackserve OWNER stackserve\n" \
        "$(cat /run/secrets/postgres_password)" | "$bin/postgres" --single -D $data.new postgres > /dev/null
    mv $data.new $data
elif [ "$(cat $data/PG_VERSION)" != "$version" ]; then
    echo "error: the data is of PostgreSQL $(cat $data/PG_VERSION), this is $version: use pg_dump of the" \
        "old image, then restore into an empty volume" >&2
    exit 1
fi
exec "$bin/postgres" -D $data -c listen_addresses='*' -c unix_socket_directories=/tmp -c jit=off
