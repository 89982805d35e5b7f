# hsmgate: see README.md. `make` alone lists what can be made.

STATE ?= ./var
ADDR ?= 127.0.0.1:8080
FUZZTIME ?= 10s
TESTFLAGS ?=
PACKAGES ?= ./...
BENCHFLAGS ?=

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION)
# The version comes from git here, so Go need not ask git too (which fails in a clone of another user's). One way to build
# everything, so that programs, lint and what tests build share what is compiled: SQLite alone takes a minute.
export GOFLAGS := -buildvcs=false -trimpath $(filter-out -buildvcs% -trimpath%,$(GOFLAGS))

.DEFAULT_GOAL := help
.PHONY: help run demo build test bench fuzz lint test-formats test-compose install-deps clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: build ## install what is missing, make a token and all state in STATE (./var), serve on ADDR (127.0.0.1:8080)
	@[ -n "$(STATE)" ] || { echo "make run: error: STATE is empty: name a folder, such as STATE=./var" >&2; exit 2; }
	@[ -n "$(ADDR)" ] || { echo "make run: error: ADDR is empty: name an address, such as ADDR=127.0.0.1:0 (a free port)" >&2; exit 2; }
	@softhsm-config/make-token.sh "$(STATE)"
	@exec bin/hsmgated quickstart --state "$(STATE)" --addr "$(ADDR)"

demo: build ## sign a Debian package in a temporary state, verify it with OpenSSL, show its audit record
	@test/demo.sh

build: install-deps ## build bin/hsmgated (cgo) and bin/hsmgate (static)
	@mkdir -p bin
	go build -ldflags '$(LDFLAGS)' -o bin/hsmgated ./cmd/hsmgated
	CGO_ENABLED=0 go build -ldflags '-s -w $(LDFLAGS)' -o bin/hsmgate ./cmd/hsmgate

# Many tests wait more than they work, so more packages run at a time than there are cores.
test: ## all tests, with the race detector (TESTFLAGS='-run Name' or PACKAGES=./hsm for some)
	@.ci/install-deps.sh run test
	go test -race -p $$((2 * $$(getconf _NPROCESSORS_ONLN))) -count=1 -timeout 30m $(TESTFLAGS) $(PACKAGES) # -count=1: programs that tests build are no inputs to the cache

bench: install-deps ## operations per second and CPU per operation against the bare token (BENCHFLAGS)
	go run ./test/bench $(BENCHFLAGS)

fuzz: ## each fuzz target for FUZZTIME (10s)
	@.ci/fuzz.sh $(FUZZTIME)

lint: ## gofmt, vet, staticcheck, golangci-lint, govulncheck
	@.ci/lint.sh

test-formats: ## each format is signed by a gateway on SoftHSM and checked by its own tool, which is installed
	@.ci/install-deps.sh run formats
	@timeout 10m .ci/install-tools.sh recipes >/dev/null || echo "formats: what needs the tools that could not be installed is NOT RUN"
	go test -race -count=1 -v -timeout 30m $(TESTFLAGS) ./test/formats

test-compose: ## the Compose file with a real engine: build, sign, down, up, the same key
	@test/compose/run.sh

install-deps: ## install SoftHSM, OpenSSL and curl where they are missing (root or sudo)
	@.ci/install-deps.sh run

clean: ## remove what was built; the state folder stays
	rm -rf bin
