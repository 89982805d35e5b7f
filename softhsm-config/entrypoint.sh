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

# What is printed works on the machine outside, in the folder of docker-compose.yml. The port there is the one that is
# published; the credentials' file knows the one in here.
outside() {
  case ${HSMGATE_PORT:-8080} in
  0) at="\$(docker-compose port hsmgate 8080)" ;;
  *) at=127.0.0.1:${HSMGATE_PORT:-8080} ;;
  esac
  cat <<END

When it is ready (docker-compose ps), paste this on the machine outside, for three signatures of docker-compose.yml:

  (umask 077 && docker-compose exec -T hsmgate cat $state/admin.env | sed "s#127.0.0.1:[0-9]*#$at#" >admin.env)
  . ./admin.env

  docker-compose exec -T hsmgate sh -c '. $state/admin.env && hsmgate sign --key alias/release -' \\
    <docker-compose.yml >release.sig

  printf 'Authorization: Bearer %s' "\$HSMGATE_TOKEN" | curl -fsS -T docker-compose.yml -H @- \\
    -H 'Accept: application/octet-stream' -o release.sig "\$HSMGATE_URL/v1/keys/alias%2Frelease/sign"

  openssl dgst -sha256 -binary docker-compose.yml >release.sha256 && aws kms sign --endpoint-url "\$HSMGATE_URL" \\
    --key-id alias/release --signing-algorithm ECDSA_SHA_256 --message-type DIGEST --message fileb://release.sha256

admin.env holds the credentials of the administrator. Without Compose: docker exec -i NAME for docker-compose exec -T hsmgate.
END
}
outside

# In a container, loopback is its own; what may reach it is decided by the published port (127.0.0.1 in
# docker-compose.yml), so plain HTTP is allowed on the container's address.
hsmgated quickstart --state "$state" --addr "${HSMGATE_ADDR:-0.0.0.0:8080}" --insecure-http --no-commands &
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
