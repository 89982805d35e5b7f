#!/usr/bin/env bash
# Fetches a newer NSS than the system's, which has ML-DSA and ML-KEM (PKCS#11 v3.2), from Debian's packages into a folder of its
# own, and prints the path of its libsoftokn3.so. The system is left as it is: apt works in a private root, and nothing is installed.
# A module that is there already is taken as it is; remove the folder to have it fetched anew.
#
# usage: nss.sh            fetch what is missing
#        nss.sh --ready    fetch nothing; fails where there is none
#
# The package comes by the mirror that the system's apt uses, verified by Debian's keyring, and loads with the system's libc, NSPR and
# SQLite (libnss3 brings them). Programs that use it need its folder in LD_LIBRARY_PATH, or they get the system's libnssutil3.so.
set -euo pipefail

suite=${HSMGATE_NSS_SUITE:-sid}
folder=${XDG_CACHE_HOME:-$HOME/.cache}/hsmgate/modules/nss
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
  echo "nss: error: $*" >&2
  exit 1
}
module() { compgen -G "$folder/usr/lib/*/libsoftokn3.so" | head -n 1; }

if [ -n "$(module)" ]; then
  module
  exit 0
fi
[ "${1:-}" != --ready ] || fail "no newer NSS in $folder: run $0"
for tool in apt-get dpkg-deb ldd; do
  command -v "$tool" >/dev/null || fail "$tool is missing: this takes Debian's packages"
done
[ -e "$keyring" ] || fail "$keyring is missing: apt-get install debian-archive-keyring"
# The literal $(…) are apt's own.
# shellcheck disable=SC2016
mirror=$(apt-get indextargets --format '$(ORIGIN)|$(COMPONENT)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
  awk -F'|' '$1 == "Debian" && $2 == "main" && $3 == "Debian" { print $4; exit }')
[ -n "$mirror" ] || fail "apt knows no mirror of Debian: apt-get update"

mkdir -p "${folder%/*}"
work=$(mktemp -d "${folder%/*}/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/unpacked"
echo "deb [signed-by=$keyring] $mirror $suite main" >"$work/sources.list"
touch "$work/status"
private() {
  (cd "$work" && timeout 120 apt-get -q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::Etc::Parts=/dev/null -o Dir::State::Lists="$work/lists" -o Dir::State::Status="$work/status" -o Dir::Cache="$work/cache" \
    -o Acquire::Languages=none -o Acquire::Retries=1 -o Acquire::http::Timeout=10 -o APT::Sandbox::User="$(id -un)" \
    -o APT::Update::Post-Invoke-Success::= "$@") >"$work/log" 2>&1 </dev/null
}
private update && private download libnss3 || {
  tail -n 5 "$work/log" >&2
  fail "Debian $suite cannot be reached, or has no libnss3"
}
dpkg-deb -x "$work"/libnss3_*.deb "$work/unpacked"
library=$(compgen -G "$work/unpacked/usr/lib/*/libsoftokn3.so") || fail "the package has no libsoftokn3.so"
for file in "$library" "${library%/*}/libfreeblpriv3.so"; do
  missing=$(LD_LIBRARY_PATH=${library%/*} ldd "$file" 2>&1 | grep -i 'not found' || :)
  [ -z "$missing" ] || fail "Debian $suite's NSS does not load here: $missing"
done
rm -rf "$folder"
mv "$work/unpacked" "$folder"
module
