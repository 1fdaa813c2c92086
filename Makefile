# Mayfly. `make help` lists what there is; each target installs what it needs, or names what it lacks.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# Static and the same bytes wherever it is built.
GOBUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'
# What scripts/need.sh had to install for this folder alone is looked up last.
export PATH := $(PATH):$(CURDIR)/.cache/tools/bin

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/mayfly
	@scripts/need.sh go
	@$(GOBUILD) -o bin/mayfly ./cmd/mayfly

.PHONY: dev
dev: ## run the server from the sources, again after each change
	@scripts/need.sh go node python3
	@scripts/dev.sh

.PHONY: demo
demo: build ## deploy the examples, call them, scale to 100 instances and back to none
	@scripts/need.sh go node python3 curl aws
	@scripts/demo.sh

.PHONY: demo-stop
demo-stop: ## stop the server that the demo left running
	@scripts/demo.sh stop

.PHONY: test
test: ## all checks and tests, as CI runs them
	@scripts/test.sh

.PHONY: check
check: ## formatting, vet, staticcheck, shell syntax
	@scripts/need.sh go
	@scripts/check.sh

.PHONY: bench
bench: ## measure cold and warm starts against bare interpreters
	@scripts/need.sh go node python3
	@go run ./bench/cmd/bench

.PHONY: cross
cross: ## build for the other platforms, into dist/
	@scripts/need.sh go
	@for p in linux/amd64 linux/arm64 darwin/arm64; do \
		echo "dist/mayfly-$${p/\//-}"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} $(GOBUILD) -o "dist/mayfly-$${p/\//-}" ./cmd/mayfly; \
	done

.PHONY: clean
clean: ## remove what was built
	@scripts/demo.sh stop
	@rm -rf bin dist .cache
