#!/usr/bin/env bash
# Runs the server from the sources and starts it again when one of them changes. Ctrl-C ends it. Arguments go to
# `mayfly serve`.
set -euo pipefail
cd "$(dirname "$0")/.."

server=
stop() {
	if [ -n "$server" ] && kill "$server" 2>/dev/null; then wait "$server" || true; fi
	server=
}
trap stop EXIT
trap exit INT TERM

isolation=native
if [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ]; then isolation=none; fi

mkdir -p .cache
built=.cache/dev-built
changed() {
	[ ! -e $built ] || [ -n "$(find . \( -name .git -o -name .cache -o -name node_modules \) -prune -o -type f -newer $built \
		\( -name '*.go' -o -name '*.sql' -o -name '*.json' -o -name '*.*js' -o -name '*.py' \) -print | head -n 1)" ]
}

rm -f $built
while :; do
	if changed; then
		touch $built
		if make build; then
			stop
			bin/mayfly serve --data .cache/dev --log-level debug --isolation "$isolation" "$@" &
			server=$!
		fi
	fi
	sleep 1
done
