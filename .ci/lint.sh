#!/usr/bin/env bash
# Format, vet, staticcheck, golangci-lint (.golangci.yml) and known vulnerabilities. `make lint` and .ci/run call it.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$(.ci/install-tools.sh lint)

unformatted=$(git ls-files -z --cached --others --exclude-standard '*.go' | xargs -0r gofmt -l)
if [ -n "$unformatted" ]; then
  printf 'lint: error: gofmt would change:\n%s\n' "$unformatted" >&2
  exit 1
fi

cgo=$(go list -f '{{if .CgoFiles}}{{.ImportPath}}{{end}}' ./...)
foreign=$(grep -vE '/hsm(/|$)' <<<"$cgo" || true)
if [ -n "$foreign" ]; then
  printf 'lint: error: cgo lives in hsm alone, but is also in:\n%s\n' "$foreign" >&2
  exit 1
fi

# The client has to build without cgo, so that it runs wherever it is dropped.
CGO_ENABLED=0 go vet ./cmd/hsmgate/
go vet ./...
"$bin/staticcheck" ./...
"$bin/golangci-lint" run --timeout 10m ./...

# The vulnerability database is asked over the network, which may be closed: that is said, and is no failure.
report=$(mktemp)
trap 'rm -f "$report"' EXIT
code=0
timeout 120 "$bin/govulncheck" ./... >"$report" 2>&1 || code=$?
case $code in
0) echo "govulncheck: no known vulnerability is reachable" ;;
3)
  cat "$report" >&2
  exit 1
  ;;
*) echo "govulncheck: not done, the vulnerability database is out of reach ($(grep -m1 . "$report" | cut -c1-120 || true))" ;;
esac
