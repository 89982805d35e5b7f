#!/usr/bin/env bash
# Runs every fuzz target for a bounded time: fuzz.sh [TIME], 10s unless told. A failing input is kept by go test
# under testdata/fuzz of its package, as a case for every later test run.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-10s}

count=0
while read -r folder; do
  while read -r target; do
    echo "fuzz $folder $target ($time)"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$folder"
    count=$((count + 1))
  done < <(go test -list '^Fuzz' "$folder" | grep '^Fuzz')
done < <(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -r -n1 dirname | sort -u)
echo "$count fuzz targets run for $time each"
