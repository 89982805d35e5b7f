#!/bin/sh
# What the container runs. Without arguments: makes what is missing in the state folder, then serves. With arguments:
# hsmgated with these, e.g. `docker run … hsmgate check --help`.
#
# A PIN that the token refused is never tried a second time by a restart, whatever the restart policy: tokens lock
# after three or four wrong ones. hsmgated says so by exit code 3; the mark left here holds until the pin file changes.
set -eu
umask 077

state=${HSMGATE_STATE:-/var/lib/hsmgate}
refused=$state/pin-refused
export SOFTHSM2_CONF="$state/softhsm2.conf"

[ $# -eq 0 ] || exec hsmgated "$@"

# shellcheck disable=SC3013 # -nt: the image's sh has it
if [ -e "$refused" ] && [ ! "$state/pin" -nt "$refused" ]; then
  echo "hsmgate: error: the token refused the PIN in $state/pin, which has not changed since; it is not tried again" >&2
  echo "hsmgate: hint: write the right PIN into that file (or delete $refused to try the same once more)" >&2
  exit 3
fi
rm -f "$refused"
"$(dirname "$0")/make-token.sh" "$state"

echo "hsmgate: what is printed below works inside the container: docker compose exec hsmgate sh"
echo "hsmgate: outside, take the credentials first: docker compose exec -T hsmgate cat $state/admin.env >admin.env && . ./admin.env"

# In a container, loopback is its own; what may reach it is decided by the published port (127.0.0.1 in
# docker-compose.yml), so plain HTTP is allowed on the container's address.
hsmgated quickstart --state "$state" --addr "${HSMGATE_ADDR:-0.0.0.0:8080}" --insecure-http &
daemon=$!
trap 'kill -TERM "$daemon" 2>/dev/null || :' TERM INT
code=0
# A signal ends wait, not the daemon, which still drains: wait until it is gone.
while :; do
  wait "$daemon" && code=0 || code=$?
  kill -0 "$daemon" 2>/dev/null || break
done
[ "$code" -ne 3 ] || touch "$refused"
exit "$code"
