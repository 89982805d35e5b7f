#!/usr/bin/env bash
# Installs what is missing, and nothing that is there: Debian packages, as root or by sudo.
#
# usage: install-deps.sh run|test|formats|compose ...
#   run      what `make run` and `make demo` need: SoftHSM, OpenSSL and curl, C headers for cgo
#   test     and what the tests need: other PKCS#11 modules, OpenSSL, the AWS clients, PostgreSQL, promtool
#   formats  the tools that check what hsmgate signs
#   compose  and what builds stand-ins for the base images, where a Docker engine answers
set -euo pipefail

packages=() promtool=
# want PACKAGE TEST...: the package is wanted when the command TEST fails.
want() {
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || packages+=("$package")
}
has() { command -v "$1"; }
# lib PATTERN...: one of the files is there. Debian keeps libraries in a folder of the architecture.
lib() { compgen -G "$1" || { [ $# -gt 1 ] && lib "${@:2}"; }; }

for group in "$@"; do
  case $group in
  run)
    [ -n "${SOFTHSM2_MODULE:-}" ] || want softhsm2 lib '/usr/lib/softhsm/libsofthsm2.so' '/usr/lib*/*/softhsm/libsofthsm2.so' '/usr/lib*/pkcs11/libsofthsm2.so'
    want openssl has openssl
    want curl has curl
    want libc6-dev test -e /usr/include/stdlib.h
    ;;
  test)
    want softhsm2 has softhsm2-util
    want opensc has pkcs11-tool
    want opensc-pkcs11 lib '/usr/lib/*/pkcs11-spy.so' '/usr/lib/*/pkcs11/pkcs11-spy.so'
    want p11-kit has p11-kit
    want p11-kit-modules lib '/usr/lib/*/pkcs11/p11-kit-client.so'
    want libnss3 lib '/usr/lib/*/libsoftokn3.so' '/usr/lib/*/nss/libsoftokn3.so'
    want libnss3-tools has certutil
    want postgresql lib '/usr/lib/postgresql/*/bin/initdb'
    want jq has jq
    want rsyslog test -x /usr/sbin/rsyslogd
    want openssh-client has ssh-keygen
    want awscli has /usr/bin/aws
    has promtool >/dev/null || promtool=wanted
    want python3-boto3 /usr/bin/python3 -c 'import boto3'
    ;;
  formats)
    want gnupg has gpg
    want gpgv has gpgv
    want apt-utils has apt-ftparchive
    want debsig-verify has debsig-verify
    want rpm has rpmbuild
    want minisign has minisign
    want gpg-wks-client test -x /usr/lib/gnupg/gpg-wks-client
    want openssl has openssl
    want git has git
    want openssh-client has ssh-keygen
    want osslsigncode has osslsigncode
    want sbsigntool has sbverify
    want apksigner has apksigner
    want aapt has aapt
    want wixl has wixl
    want gcab has gcab
    want default-jdk-headless has jarsigner
    want jose has jose
    want python3-jwcrypto /usr/bin/python3 -c 'import jwcrypto'
    want python3-cbor2 /usr/bin/python3 -c 'import cbor2'
    ;;
  compose)
    want debootstrap has debootstrap
    docker compose version >/dev/null 2>&1 || want docker-compose has docker-compose
    ;;
  *)
    echo "install-deps: error: unknown group '$group'" >&2
    exit 2
    ;;
  esac
done
[ ${#packages[@]} -gt 0 ] || [ -n "$promtool" ] || exit 0

[ ${#packages[@]} -eq 0 ] || mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
if ! command -v apt-get >/dev/null; then
  echo "install-deps: error: missing: ${packages[*]} ${promtool:+prometheus} (Debian's names), and there is no apt-get to install them" >&2
  exit 1
fi
root=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || {
    echo "install-deps: error: missing: ${packages[*]} ${promtool:+prometheus}" >&2
    echo "install-deps: hint: run as root: apt-get install ${packages[*]} ${promtool:+prometheus}" >&2
    exit 1
  }
  root=(sudo)
fi
echo "installing ${packages[*]} ${promtool:+promtool}"
# The tests run PostgreSQL in folders of their own: the package need not make and start a cluster.
if [[ " ${packages[*]} " == *" postgresql "* && ! -e /etc/postgresql-common/createcluster.conf ]]; then
  "${root[@]}" mkdir -p /etc/postgresql-common
  echo 'create_main_cluster = false' | "${root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@" </dev/null >"$log" 2>&1
}
# fetch ARGS...: apt-get. A stale package list fails the install, so the list is fetched first only where that happens.
fetch() {
  apt "$@" || { apt update && apt "$@"; } || {
    cat "$log" >&2
    exit 1
  }
}
[ ${#packages[@]} -eq 0 ] || fetch install -y --no-install-recommends "${packages[@]}"
# Of Debian's prometheus, promtool alone: the package would start a server, and bring ten more.
if [ -n "$promtool" ]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$log" "$folder"' EXIT
  cd "$folder"
  fetch download prometheus
  dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
  "${root[@]}" install -m 0755 usr/bin/promtool /usr/local/bin/promtool
fi
