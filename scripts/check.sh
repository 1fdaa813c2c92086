#!/usr/bin/env bash
# Formatting, vet, staticcheck and the syntax of the scripts.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
	echo "check: not formatted (gofmt -w mends it):" >&2
	echo "$unformatted" >&2
	exit 1
fi
for script in scripts/*.sh .ci/run; do bash -n "$script"; done
go vet ./...
go tool staticcheck ./...
# The parts behind build tags, for the platform that development happens on elsewhere.
GOOS=darwin GOARCH=arm64 go vet ./...
