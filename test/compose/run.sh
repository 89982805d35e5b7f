#!/usr/bin/env bash
# The Compose file with a real engine: build, up, a signature by curl that OpenSSL checks, down, up, the same key, a PIN
# that the token refuses; with each Compose that is here. Everything is taken down at the end, by this run's project names.
# `.ci/install-tools.sh compose` builds Docker's Compose where it is not installed.
#
# STAND_INS=1 makes the base images from Debian packages first (test/images/build.sh), where no registry is reached.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! docker info >/dev/null 2>&1; then
  echo "compose: not run, no Docker engine answers here"
  exit 0
fi
[ -z "${STAND_INS:-}" ] || test/images/build.sh

# Docker's, installed or built, and Debian's older one.
composes=()
built=${TOOLS_BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/hsmgate/bin}/docker-compose
if docker compose version >/dev/null 2>&1; then composes=("docker compose"); elif [ -x "$built" ]; then composes=("$built"); fi
if command -v docker-compose >/dev/null; then composes+=(docker-compose); fi
[ ${#composes[@]} -gt 0 ] || {
  echo "compose: error: neither 'docker compose' nor docker-compose is here: .ci/install-tools.sh compose" >&2
  exit 1
}
export HSMGATE_PORT=0 # a free one
VERSION=$(git describe --tags --always --dirty 2>/dev/null || echo unknown)
export VERSION

state=/var/lib/hsmgate
# use COMPOSE: the one that is played with, a project and a folder of its own.
use() {
  read -ra compose <<<"$1"
  version=$("${compose[@]}" version --short)
  compose+=(-p "hsmgate-test-$$-${version//[^0-9]/-}")
  work=$(mktemp -d)
  trap finish EXIT
}
say() { echo "compose $version: $1"; }
quiet() {
  "$@" >"$work/log" 2>&1 </dev/null || {
    tail -n 60 "$work/log" >&2
    return 1
  }
}
finish() {
  local code=$?
  if [ "$code" != 0 ]; then "${compose[@]}" logs --tail 40 >&2 || :; fi
  quiet "${compose[@]}" down -v --remove-orphans || :
  rm -rf "$work"
  exit "$code"
}

fail() {
  say "error: $1" >&2
  exit 1
}
container() { "${compose[@]}" ps -q hsmgate; }
inside() { "${compose[@]}" exec -T hsmgate "$@" </dev/null; }
# poll SECONDS WHAT COMMAND...
poll() {
  local seconds=$1 what=$2
  shift 2
  for ((i = 0; i < seconds * 2; i++)); do
    if "$@"; then return; fi
    sleep 0.5
  done
  fail "$what did not come within $seconds s"
}
healthy() { [ "$(docker inspect -f '{{ .State.Health.Status }}' "$(container)")" = healthy ]; }

up() {
  quiet "${compose[@]}" up -d
  poll 120 "a healthy container" healthy
  url=http://$("${compose[@]}" port hsmgate 8080)
  # Secrets go to the tools by file: arguments are for everybody to read.
  (umask 077 && inside cat "$state/admin.env" >"$work/admin.env")
  # shellcheck disable=SC1091 # made at run time
  (umask 077 && . "$work/admin.env" && echo "Authorization: Bearer $HSMGATE_TOKEN" >"$work/header")
}
call() { curl -sS --fail-with-body --max-time 30 -H "@$work/header" "$@"; }
public_key() { call -H 'Accept: application/x-pem-file' -o "$1" "$url/v1/keys/alias/release/public-key"; }
sign() { call -H 'Accept: application/octet-stream' -T "$1" -o "$2" "$url/v1/keys/alias/release/sign"; }
verify() { openssl dgst -sha256 -verify "$work/public.pem" -signature "$2" "$1" >/dev/null || fail "OpenSSL does not take the signature of $1"; }

play() {
  head -c 3000000 /dev/urandom >"$work/first"
  head -c 3000 /dev/urandom >"$work/second"

  up
  say "healthy at $url, image of $(docker image inspect -f '{{ .Size }}' "$(docker inspect -f '{{ .Image }}' "$(container)")" | awk '{ printf "%.0f MB", $1 / 1e6 }')"
  user=$(inside id -u)
  [ "$user" != 0 ] || fail "the container runs as root"
  inside sh -c '! touch /usr/probe 2>/dev/null' || fail "the root file system can be written"
  for secret in pin so-pin seal.key admin.env; do
    [ "$(inside stat -c %a "$state/$secret")" = 600 ] || fail "$secret can be read by others"
  done
  public_key "$work/public.pem"
  sign "$work/first" "$work/first.sig"
  verify "$work/first" "$work/first.sig"
  say "signed by curl, verified by OpenSSL"

  quiet "${compose[@]}" down
  up
  public_key "$work/again.pem"
  cmp "$work/public.pem" "$work/again.pem" || fail "another key after down and up"
  sign "$work/second" "$work/second.sig"
  verify "$work/second" "$work/second.sig"
  verify "$work/first" "$work/first.sig"
  verified=$(inside hsmgate audit verify "$state/audit/audit.log") || fail "the audit log does not verify: $verified"
  say "$verified"
  say "the same key signs after down and up"

  # A refused PIN: one login, and none by the restarts that follow.
  restarts() { [ "$(docker inspect -f '{{ .RestartCount }}' "$(container)")" -ge 3 ]; }
  inside sh -c "cp -p $state/pin $state/pin.right && echo 0000000000 >$state/pin"
  quiet "${compose[@]}" restart
  poll 60 "the third restart" restarts
  refusals=$(docker logs "$(container)" 2>&1 | grep -c 'hsmgated: hint: the PIN is not tried again' || :)
  [ "$refusals" = 1 ] || fail "the token refused $refusals logins, not one"
  say "a refused PIN is tried once, restarts do not repeat it"
  quiet "${compose[@]}" stop
  quiet "${compose[@]}" run --rm --entrypoint sh hsmgate -c "cat $state/pin.right >$state/pin && rm $state/pin.right"
  up
  sign "$work/second" "$work/second.sig"
  verify "$work/second" "$work/second.sig"
  say "with the right PIN it serves again"
}

# One after the other builds, for the second finds what the first has; then they wait for containers at the same time.
for name in "${composes[@]}"; do
  (
    use "$name"
    quiet "${compose[@]}" build
    say "the image is built"
  )
done
jobs=()
trap 'kill "${jobs[@]}" 2>/dev/null || :; wait' EXIT
for name in "${composes[@]}"; do
  (
    use "$name"
    play
  ) &
  jobs+=($!)
done
failed=
for job in "${jobs[@]}"; do wait "$job" || failed=1; done
[ -z "$failed" ]
