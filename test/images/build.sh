#!/usr/bin/env bash
# Makes stand-ins for the Dockerfile's base images out of Debian packages, this machine's Go and the certificates it
# trusts (a closed network's module mirror often has one of its own), under the same names, for machines that reach no
# container registry. An image that is there already stays, be it a stand-in of the same Go or the real one. Needs
# root (or sudo) and debootstrap.
#
# `docker rmi golang:1.26-bookworm debian:bookworm-slim` removes them again. MIRROR names a Debian mirror.
set -euo pipefail
cd "$(dirname "$0")/../.."

build_image=$(awk '$1 == "FROM" && $3 == "AS" { print $2 }' Dockerfile)
run_image=$(awk '$1 == "FROM" && $3 == "" { print $2 }' Dockerfile)
goroot=$(go env GOROOT)
certificates=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
mark=$(go env GOVERSION)-$(sha256sum "$certificates" | cut -c 1-12)

# there IMAGE MARK: the image is the real one (no mark), or a stand-in with this mark.
there() {
  local found
  found=$(docker image inspect -f '{{ index .Config.Labels "stand-in" }}' "$1" 2>/dev/null) || return 1
  [ -z "$found" ] || [ "$found" = "$2" ]
}
if there "$run_image" bookworm && there "$build_image" "$mark"; then
  exit 0
fi

root=()
[ "$(id -u)" = 0 ] || root=(sudo)
work=$(mktemp -d)
trap '"${root[@]}" rm -rf --one-file-system "$work"' EXIT
chmod 0755 "$work"
tree=$work/debian

# import IMAGE MARK CHANGE...: the tree, without what the real image has not either.
import() {
  local image=$1 changes=(--change "LABEL stand-in=$2" --change 'CMD ["bash"]') change
  for change in "${@:3}"; do changes+=(--change "$change"); done
  "${root[@]}" tar -C "$tree" --numeric-owner --exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --exclude='./var/log/*' \
    --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' --exclude='./usr/share/info/*' \
    --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' -c . | docker import "${changes[@]}" - "$image" >/dev/null
  echo "made a stand-in for $image"
}

run() {
  "$@" >"$work/log" 2>&1 </dev/null || {
    tail -n 40 "$work/log" >&2
    exit 1
  }
}

run "${root[@]}" debootstrap --variant=minbase bookworm "$tree" ${MIRROR:+"$MIRROR"}
there "$run_image" bookworm || import "$run_image" bookworm

# In a chroot nothing is mounted and no service starts; apt works all the same.
run "${root[@]}" chroot "$tree" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends gcc libc6-dev
"${root[@]}" install -D -m 0644 "$certificates" "$tree/etc/ssl/certs/ca-certificates.crt"
# Go without its own tests: each layer of a build walks over every file.
"${root[@]}" mkdir -p "$tree/usr/local/go"
"${root[@]}" tar -C "$goroot" --exclude=./test --exclude=./api --exclude=./doc --exclude='*_test.go' --exclude=testdata -c . |
  "${root[@]}" tar -C "$tree/usr/local/go" -x
import "$build_image" "$mark" 'ENV PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
  'ENV GOPATH=/go' 'ENV GOTOOLCHAIN=local' 'WORKDIR /go'
