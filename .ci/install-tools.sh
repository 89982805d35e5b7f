#!/usr/bin/env bash
# Installs the lint tools at their pinned versions into a folder of their own that later runs use again, and prints
# that folder. `install-tools.sh --ready` installs nothing, and succeeds when all are there already.
# `install-tools.sh recipes` installs instead the tools that check formats and recipes and are Go modules; that takes minutes once.
set -euo pipefail

bin=${TOOLS_BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/hsmgate/bin}
tools=(
  honnef.co/go/tools/cmd/staticcheck@v0.8.2
  golang.org/x/vuln/cmd/govulncheck@v1.9.0
  github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
)
if [ "${1:-}" = recipes ]; then
  tools=(
    github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2
    github.com/notaryproject/notation/cmd/notation@v1.3.2
    github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
    github.com/getsops/sops/v3/cmd/sops@v3.13.3
  )
  export CGO_ENABLED=0
fi
mkdir -p "$bin"
failed=

# by_module PATH VERSION builds a program in a module that requires it, for proxies that have the version but do not list it.
by_module() (
  module=${1%/cmd/*} folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  cd "$folder"
  printf 'module build\ngo 1.26.0\nrequire %s %s\n' "$module" "$2" >go.mod
  GOFLAGS=-mod=mod go build -trimpath -o "$bin/${1##*/}" "$1"
)

for tool in "${tools[@]}"; do
  path=${tool%@*} version=${tool#*@}
  # The version of a program is in its build information; a newer Go needs a newer build of the same version.
  if go version -m "$bin/${path##*/}" 2>/dev/null |
    awk -v path="$path/" -v version="$version" '($1 == "mod" || $1 == "dep") && index(path, $2 "/") == 1 && $3 == version { found = 1 } END { exit !found }' &&
    [ "$(go version "$bin/${path##*/}" | awk '{ print $NF }')" = "$(go env GOVERSION)" ]; then
    continue
  fi
  [ "${1:-}" != --ready ] || exit 1
  (cd / && GOBIN=$bin GOFLAGS='' go install "$tool") || by_module "$path" "$version" || {
    echo "install-tools: error: $tool could not be installed" >&2
    failed=1
  }
done
[ -z "$failed" ] || exit 1
echo "$bin"
