#!/usr/bin/env bash
# Installs the lint tools at their pinned versions into a folder of their own that later runs use again, and prints
# that folder. `install-tools.sh --ready` installs nothing, and succeeds when all are there already.
set -euo pipefail

bin=${TOOLS_BIN:-${XDG_CACHE_HOME:-$HOME/.cache}/hsmgate/bin}
tools=(
  honnef.co/go/tools/cmd/staticcheck@v0.8.2
  golang.org/x/vuln/cmd/govulncheck@v1.9.0
  github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
)
mkdir -p "$bin"

for tool in "${tools[@]}"; do
  path=${tool%@*} version=${tool#*@}
  # The version of a program is in its build information; a newer Go needs a newer build of the same version.
  if go version -m "$bin/${path##*/}" 2>/dev/null | grep -qE "^\s+mod\s+\S+\s+$version\s" &&
    [ "$(go version "$bin/${path##*/}" | awk '{ print $NF }')" = "$(go env GOVERSION)" ]; then
    continue
  fi
  [ "${1:-}" != --ready ] || exit 1
  (cd / && GOBIN=$bin GOFLAGS='' go install "$tool") || {
    echo "install-tools: error: $tool could not be installed" >&2
    exit 1
  }
done
echo "$bin"
