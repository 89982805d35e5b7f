#!/usr/bin/env bash
# Runs every fuzz target for a bounded time: fuzz.sh [TIME], 10s unless told. A failing input is kept under testdata/fuzz of
# its package, as a case for every later test run. Each package is built once, for all of its targets.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-10s}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cache=$(go env GOCACHE)/fuzz # where go test keeps the inputs that it found, too

# Each list is made before it is read, so that one that fails ends this.
count=0
folders=$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -r -n1 dirname | sort -u)
while read -r folder; do
  go test -c -vet=off -fuzz=. -o "$work/test" "$folder"
  package=$(go list "$folder")
  targets=$("$work/test" -test.list '^Fuzz')
  [ -n "$targets" ] || {
    echo "fuzz: error: the tests of $folder list no fuzz target" >&2
    exit 1
  }
  while read -r target; do
    echo "fuzz $folder $target ($time)"
    (cd "$folder" && "$work/test" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$time" -test.fuzzcachedir "$cache/$package" -test.timeout 0 -test.paniconexit0)
    count=$((count + 1))
  done <<<"$targets"
done <<<"$folders"
echo "$count fuzz targets run for $time each"
