#!/bin/sh
# make_secrets.sh [FOLDER]: makes the secrets of the services, unless FOLDER holds some.
# Each service has a folder in it. Passwords are in the clear there: only the service that needs
# one mounts its folder.
set -eu
cd "${1:-/secrets}"

random() {
  head -c 24 /dev/urandom | od -An -vtx1 | tr -d ' \n'
}

# Written under another name first: a file is whole or not there.
write() {
  test -e "$1" && return
  cat >"$1.new"
  chmod 0444 "$1.new"
  mv "$1.new" "$1"
}

printf %s "${POSTGRES_PASSWORD:-$(random)}" | write postgres/password
random | write valkey/password
printf 'requirepass %s\n' "$(cat valkey/password)" | write valkey/valkey.conf

# database_url USER PASSWORD_FILE
database_url() {
  printf 'postgresql://%s:%s@postgres:5432/antiphon' "$1" "$(cat "$2")"
}

database_url antiphon postgres/password | write roles/DATABASE_URL
random | write roles/secret
for role in owner app maintenance; do
  random | write "roles/antiphon_$role"
  database_url "antiphon_$role" "roles/antiphon_$role" | write "$role/DATABASE_URL"
done
# Workers are of two roles: they generate for one project at a time, and claim from all.
write worker/DATABASE_URL <app/DATABASE_URL
write worker/DATABASE_MAINTENANCE_URL <maintenance/DATABASE_URL
for service in owner app worker maintenance; do
  printf 'redis://:%s@valkey:6379/0' "$(cat valkey/password)" | write "$service/REDIS_URL"
  write "$service/secret" <roles/secret
done
