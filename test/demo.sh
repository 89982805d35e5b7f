#!/usr/bin/env bash
# hsmgate in one minute, unattended, in a folder that is removed at the end: start, make a key in the token, sign a Debian
# package, fetch the public key, verify with OpenSSL alone, show and verify the audit record, stop. `make demo` runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/bin

work=$(mktemp -d)
state=$work/state
daemon=
finish() {
  local code=$?
  trap - EXIT
  if [ -n "$daemon" ]; then
    kill -TERM "$daemon" 2>/dev/null || :
    wait "$daemon" || :
  fi
  if [ "$code" != 0 ] && [ -e "$work/log" ]; then tail -n 20 "$work/log" >&2; fi
  rm -rf "$work"
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

say() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
# show COMMAND...: prints the command as one would type it, then runs it.
show() {
  local word line='$'
  for word in "$@"; do
    case $word in *[!a-zA-Z0-9_./:@=-]*) word=${word@Q} ;; esac
    line+=" $word"
  done
  printf '%s\n' "$line" | sed "s#$work/##g; s#$bin/##g"
  "$@"
}

say "1. A token, and a gateway on a free port of loopback"
softhsm-config/make-token.sh "$state"
"$bin/hsmgated" quickstart --state "$state" --addr 127.0.0.1:0 >"$work/out" 2>"$work/log" </dev/null &
daemon=$!
for ((i = 0; ; i++)); do
  "$bin/hsmgated" healthcheck --state "$state" >/dev/null 2>&1 && break
  kill -0 "$daemon" 2>/dev/null || {
    echo "demo: error: hsmgated ended" >&2
    exit 1
  }
  [ "$i" -lt 300 ] || {
    echo "demo: error: hsmgated was not ready within 60 s" >&2
    exit 1
  }
  sleep 0.2
done
# shellcheck disable=SC1091 # written by hsmgated
. "$state/admin.env"
echo "hsmgated serves $HSMGATE_URL"

cd "$work"
say "2. A Debian package to release"
# apt fetches as a user of its own where it can, so the folder is made for it to write to.
mkdir package && chmod 0777 package && chmod 0711 "$work"
if ! (cd package && timeout 60 apt-get -qq download hello) >/dev/null 2>&1; then
  echo "(no package can be fetched here: one is built on the spot)"
  mkdir -p tree/DEBIAN tree/usr/share/hello
  date >tree/usr/share/hello/made
  printf '%s\n' 'Package: hello' 'Version: 1.0' 'Architecture: all' 'Maintainer: Demo <demo@example.com>' 'Description: a package to sign' >tree/DEBIAN/control
  dpkg-deb --build --root-owner-group tree package/hello_1.0_all.deb >/dev/null
fi
cp package/*.deb .
deb=$(echo ./*.deb)
deb=${deb#./}
dpkg-deb --show "$deb"

say "3. A key that never leaves the token"
show "$bin/hsmgate" key create --spec RSA_3072 --alias alias/debian-release

say "4. The signature"
show "$bin/hsmgate" sign --key alias/debian-release --algorithm RSASSA_PKCS1_V1_5_SHA_256 --output-file "$deb.sig" "$deb"

say "5. The public key, over HTTP"
# The header comes from a file, so that the token is not in curl's arguments.
(umask 077 && echo "Authorization: Bearer $HSMGATE_TOKEN" >header)
show curl -fsS -H @header -H 'Accept: application/x-pem-file' -o release.pem "$HSMGATE_URL/v1/keys/alias/debian-release/public-key"
cat release.pem

say "6. OpenSSL alone verifies"
show openssl dgst -sha256 -verify release.pem -signature "$deb.sig" "$deb"
cp "$deb" changed.deb
printf x >>changed.deb
if show openssl dgst -sha256 -verify release.pem -signature "$deb.sig" changed.deb 2>&1; then
  echo "demo: error: a changed package was accepted" >&2
  exit 1
fi

say "7. The audit record of the signature, in a chain that can be checked offline"
digest=$(sha256sum "$deb" | cut -d ' ' -f 1)
grep '"operation":"Sign"' "$state/audit/audit.log" | grep "$digest" | sed 's/,"/,\n "/g'
show "$bin/hsmgate" audit verify "$state/audit/audit.log"

say "8. Stop"
kill -TERM "$daemon"
wait "$daemon"
daemon=
echo "hsmgated drained and ended; $(wc -l <"$state/audit/audit.log") audit records stayed behind it"
