#!/bin/sh
# Makes what a SoftHSM token needs in a state folder, and keeps what is there already:
#   softhsm2.conf  SoftHSM's configuration (export SOFTHSM2_CONF=FOLDER/softhsm2.conf)
#   pin, so-pin    the token's PINs, random, mode 0600
#   token/         the token, labelled 'hsmgate'; its keys are lost with this folder
#
# usage: make-token.sh FOLDER        make it
#        make-token.sh --module      only print the path of SoftHSM's library
#
# HSMGATED (default: bin/hsmgated beside this script's folder, else from PATH) makes the token, so that no PIN is
# ever in a process's arguments. SOFTHSM2_MODULE names SoftHSM's library where it is in an unusual place.
set -eu
umask 077

here=$(cd "$(dirname "$0")" && pwd)

fail() {
  echo "make-token: error: $1" >&2
  [ $# -lt 2 ] || echo "make-token: hint: $2" >&2
  exit 1
}

module() {
  if [ -n "${SOFTHSM2_MODULE:-}" ]; then
    [ -e "$SOFTHSM2_MODULE" ] && echo "$SOFTHSM2_MODULE"
    return
  fi
  for path in /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so \
    /usr/lib64/pkcs11/libsofthsm2.so /usr/lib64/softhsm/libsofthsm2.so /usr/local/lib/softhsm/libsofthsm2.so \
    /opt/homebrew/lib/softhsm/libsofthsm2.so; do
    [ -e "$path" ] && echo "$path" && return 0
  done
  return 1
}

# random_digits N: N decimal digits from the kernel. Some tokens take digits only, so digits for all.
random_digits() {
  digits=
  while [ ${#digits} -lt "$1" ]; do
    digits=$digits$(od -An -N64 -tu1 /dev/urandom | tr -s ' ' '\n' | awk '$1 != "" && $1 < 250 { printf "%d", $1 % 10 }')
  done
  printf %s "$digits" | head -c "$1"
}

# new_pin FILE: appears whole or not at all.
new_pin() {
  [ -s "$1" ] && return 0
  random_digits 16 >"$1.new"
  mv "$1.new" "$1"
}

# config FILE TOKENDIR: a moved folder takes its configuration with it.
config() {
  from=$1
  [ -e "$from" ] || from=$here/softhsm2.conf
  awk -v line="directories.tokendir = $2" '/^[ \t]*directories\.tokendir/ { $0 = line } { print }' "$from" >"$1.tmp"
  if cmp -s "$1.tmp" "$1"; then rm "$1.tmp"; else mv "$1.tmp" "$1"; fi
}

library=$(module) || fail "SoftHSM's library libsofthsm2.so is not here" "install it (Debian: apt-get install softhsm2), or name it with SOFTHSM2_MODULE"
case ${1:-} in
--module) echo "$library" && exit 0 ;;
'' | -*) sed -n '2,/^set/p' "$0" | sed -n 's/^# \{0,1\}//p' >&2 && exit 2 ;;
esac

hsmgated=${HSMGATED:-$here/../bin/hsmgated}
[ -x "$hsmgated" ] || hsmgated=$(command -v hsmgated) || fail "hsmgated is not built" "run 'make build', or name it with HSMGATED"

mkdir -p "$1"
state=$(cd "$1" && pwd)
chmod 0700 "$state"
config "$state/softhsm2.conf" "$state/token"

if [ -d "$state/token" ]; then
  [ -s "$state/pin" ] || fail "there is a token in $state/token, but $state/pin is missing" "put the token's PIN back; a new one cannot be made for keys that exist"
  exit 0
fi

# The token is made aside and moved into place when it is whole, so that a crash leaves none or all of it.
new_pin "$state/pin"
new_pin "$state/so-pin"
rm -rf "$state/token.new" "$state/softhsm2.conf.token"
mkdir "$state/token.new"
config "$state/softhsm2.conf.token" "$state/token.new"
SOFTHSM2_CONF=$state/softhsm2.conf.token "$hsmgated" token init --module "$library" --label hsmgate \
  --pin-file "$state/pin" --so-pin-file "$state/so-pin" >/dev/null
mv "$state/token.new" "$state/token"
rm "$state/softhsm2.conf.token"
echo "made the SoftHSM token 'hsmgate' in $state/token"
