#!/usr/bin/env bash
# Installs tools that are Go modules, at their pinned versions, into a folder of their own that later runs use again, and
# prints that folder. What was built, and in what time, is told on standard error.
#
# usage: install-tools.sh [--ready] lint|recipes|compose
#   lint     what .ci/lint.sh runs
#   recipes  what checks formats and recipes; that takes minutes once
#   compose  Docker's Compose, which Debian has not
#   --ready  install nothing, and succeed when all are there
set -euo pipefail

ready= ldflags='-s -w'
[ "${1:-}" != --ready ] || { ready=1 && shift; }
case ${1:-} in
lint)
  tools=(
    staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2
    govulncheck=golang.org/x/vuln/cmd/govulncheck@v1.9.0
    golangci-lint=github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
  )
  ;;
recipes)
  tools=(
    nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
    notation=github.com/notaryproject/notation/cmd/notation@v1.3.2
    cosign=github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
    sops=github.com/getsops/sops/v3/cmd/sops@v3.13.3
    goreleaser=github.com/goreleaser/goreleaser/v2@v2.16.0
  )
  ;;
compose)
  tools=(docker-compose=github.com/docker/compose/v5/cmd@v5.5.1)
  ldflags+=" -X github.com/docker/compose/v5/internal.Version=${tools[0]##*@}" # which it says nothing of by itself
  ;;
*)
  echo "install-tools: error: unknown group '${1:-}': lint, recipes or compose" >&2
  exit 2
  ;;
esac

bin=${TOOLS_BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/hsmgate/bin}
mkdir -p "$bin"
# One way to build them all, which is that of hsmgate, so that they share what they have in common.
export CGO_ENABLED=0 GOFLAGS='-mod=mod -trimpath'

# there NAME PATH VERSION: the version of a program is in its build information; a newer Go needs a newer build of the same version.
there() {
  go version -m "$bin/$1" 2>/dev/null |
    awk -v path="$2/" -v version="$3" '($1 == "mod" || $1 == "dep") && index(path, $2 "/") == 1 && $3 == version { found = 1 } END { exit !found }' &&
    [ "$(go version "$bin/$1" | awk '{ print $NF }')" = "$(go env GOVERSION)" ]
}
# build NAME PATH VERSION builds a program in a module that requires its own: some proxies have versions that they do not list,
# which `go install` needs. It is called in a condition, where no failure ends it but one that is asked for.
build() (
  folder=$(mktemp -d) || exit 1
  trap 'rm -rf "$folder"' EXIT
  cd "$folder" || exit 1
  printf 'module build\ngo 1.26.0\nrequire %s %s\n' "${2%/cmd*}" "$3" >go.mod
  go build -ldflags "$ldflags" -o "$bin/$1" "$2"
)

failed=
for tool in "${tools[@]}"; do
  name=${tool%%=*} version=${tool##*@} start=$SECONDS
  path=${tool#*=} path=${path%@*}
  ! there "$name" "$path" "$version" || continue
  [ -z "$ready" ] || exit 1
  if build "$name" "$path" "$version"; then
    echo "install-tools: $name $version built in $((SECONDS - start)) s" >&2
  else
    echo "install-tools: error: $name $version could not be installed" >&2
    failed=1
  fi
done
[ -z "$failed" ] || exit 1
echo "$bin"
