# On a fresh machine with Go: `make demo` and `make test` do everything.

GO       ?= go
PREFIX   ?= /usr/local
FUZZTIME ?= 3s
BIN      := bin/seamount

.DEFAULT_GOAL := build
.PHONY: build demo test race lint bench fuzz soak setup install clean

build:
	$(GO) build -trimpath -o $(BIN) ./cmd/seamount

# What the demo needs beside Go.
demo: build
	@.ci/setup fuse3
	@$(BIN) demo

# Vet, every test under the race detector, a few seconds of each fuzz target.
test: setup
	$(GO) vet ./...
	$(GO) test -race -count=1 -timeout 12m -p 2 ./...
	@GO="$(GO)" .ci/fuzz $(FUZZTIME)

# The tests alone.
race: setup
	$(GO) test -race -count=1 -timeout 12m -p 2 ./...

lint:
	@test -z "$$(gofmt -l .)" || { echo "gofmt needed:"; gofmt -l .; exit 1; }
	$(GO) vet ./... ./.ci/layers
	$(GO) tool staticcheck ./... ./.ci/layers
	$(GO) test -count=1 ./.ci/layers
	$(GO) run ./.ci/layers

# Go's benchmarks, then the mount side by side with sshfs.
bench: setup
	$(GO) test -run '^$$' -bench . -benchmem ./...
	$(GO) run ./integration/bench

fuzz:
	@GO="$(GO)" .ci/fuzz $(FUZZTIME)

# The long tests in full size.
soak: setup
	SEAMOUNT_SOAK=1 $(GO) test -count=1 -timeout 4h -p 1 ./integration/...

setup:
	@.ci/setup

install: build
	install -D -m 0755 $(BIN) $(DESTDIR)$(PREFIX)/bin/seamount

clean:
	rm -rf bin
