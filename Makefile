# make run      build and start a server on this machine
# make check    what to run before a commit; make check-all, the same on PostgreSQL and with the race detector
# make test     everything, real clients included; installs what they are
# The rest: build bench golden fuzz clean.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: build run check check-all test lint unit race journeys bench golden fuzz clean

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X github.com/acre-registry/acre/internal/cli.Version=$(VERSION)

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/acre ./cmd/acre

run: build
	./bin/acre serve $(ARGS)

check: lint unit

# Names sort by a language in this cluster: whoever forgets COLLATE "C" fails here.
check-all: lint
	scripts/with-postgres.sh --collation icu:en $(MAKE) race

test:
	scripts/install-test-tools.sh
	$(MAKE) lint
	scripts/with-postgres.sh --collation icu:en $(MAKE) race
	scripts/with-postgres.sh $(MAKE) journeys

lint:
	@files=$$(gofmt -l bench cmd docs internal test); [ -z "$$files" ] || { printf 'not gofmt-ed:\n%s\n' "$$files"; exit 1; }
	go vet ./...
	cd test && go vet ./...

unit:
	go test ./...

race:
	CGO_ENABLED=1 go test -race -timeout 25m ./...

# Real clients and faults against the binary, side by side since most of it is waiting. ROUNDS is how often the server is killed under load.
journeys:
	cd test && ACRE_TEST_ROUNDS=$${ROUNDS:-20} go test -v -count=1 -parallel 4 -timeout 40m .

bench: build
	go run ./bench $(ARGS)

# Rewrites the wire shapes under testdata; look at the diff before committing it.
golden:
	@dirs=$$(grep -rlE --include='*_test.go' 'flag\.Bool\("update"' bench cmd internal | xargs -r -n1 dirname | sort -u | sed 's|^|./|'); \
	[ -n "$$dirs" ] || { echo 'no package has golden files'; exit 0; }; \
	go test $$dirs -update

fuzz:
	scripts/fuzz.sh $(or $(TIME),5s)

clean:
	rm -rf bin
