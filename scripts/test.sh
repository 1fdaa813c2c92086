#!/usr/bin/env bash
# All checks and tests. Each step prints as it goes and its time at the end; the first failure does not hide the others.
set -euo pipefail
cd "$(dirname "$0")/.."

names=() results=() failed=0
run_step() { # NAME COMMAND...
	local name=$1 began=$SECONDS status=ok
	shift
	printf '\n== %s\n' "$name"
	# Not `"$@" || …`, in which bash would go on after a failure inside of a step.
	set +e
	(set -e && "$@")
	if [ $? != 0 ]; then status=FAILED failed=1; fi
	set -e
	names+=("$name") results+=("$(printf '%-6s %4d s' "$status" $((SECONDS - began)))")
}

tools() {
	scripts/need.sh go gcc node npm python3 python3-venv curl aws
	if [ "$(uname -s)" = Linux ] && [ "$(id -u)" = 0 ]; then scripts/need.sh ip; fi
	if [ -x conformance/setup.sh ]; then conformance/setup.sh; fi
}

# All packages but the black-box tests, which run a built server and gain nothing from the race detector.
unit() {
	go list ./... | grep -v -e '^mayfly/conformance' -e '^mayfly/bench' |
		xargs go tool gotestsum --format pkgname -- -race -timeout 10m
}

blackbox() {
	local packages
	packages=$(go list ./conformance/... ./bench/... 2>/dev/null)
	if [ -z "$packages" ]; then return 0; fi
	make build
	# shellcheck disable=SC2086 # a list of words
	MAYFLY_BINARY=$PWD/bin/mayfly MAYFLY_LEAK_N=10000 go tool gotestsum --format pkgname -- -timeout 15m $packages
}

examples() {
	node --test examples/process-order-node/
	(cd examples/process-order-python && python3 -B -m unittest -b)
}

# The demo as anybody runs it, on a port of its own so that a server in use is left alone.
demo() {
	local port
	port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
	DEMO_KEEP=0 DEMO_DATA=.cache/demo-test DEMO_LISTEN=127.0.0.1:$port make demo
}

if [ "$(id -u)" != 0 ]; then
	echo "Not root: the tests of the native sandbox are skipped. \`sudo make test\` runs them."
fi
run_step tools tools
run_step check scripts/check.sh
run_step "unit tests" unit
run_step examples examples
run_step "black-box tests" blackbox
run_step demo demo
run_step "cross builds" make cross

printf '\n== summary (%d s)\n' "$SECONDS"
for i in "${!names[@]}"; do printf '  %s  %s\n' "${results[$i]}" "${names[$i]}"; done
exit "$failed"
