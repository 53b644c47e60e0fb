#!/bin/sh
# Makes the secrets of compose.yml and compose-ha.yml in ./secrets, once: what is there stays. Keep a copy of kek apart from
# the backups of the database.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets # nobody else on this machine gets into it; inside the containers the files are for another user
make() { # NAME, what it holds on standard input
  if [ -e "secrets/$1" ]; then
    cat >/dev/null
    return
  fi
  cat >"secrets/.$1"
  chmod 444 "secrets/.$1"
  mv "secrets/.$1" "secrets/$1"
}
head -c 32 /dev/urandom | base64 | make kek
head -c 24 /dev/urandom | base64 | tr '+/' '-_' | tr -d '\n' | make postgres-password
printf 'postgres://doorstep:%s@postgres/doorstep?sslmode=disable' "$(cat secrets/postgres-password)" | make database-url
