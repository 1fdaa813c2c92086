#!/usr/bin/env bash
# The demo: a server, three functions, calls by the aws command and by HTTP, 100 instances and none, the bill.
#
#   scripts/demo.sh          run it; the server is left running
#   scripts/demo.sh stop     stop that server
#
# DEMO_LISTEN (127.0.0.1:4566), DEMO_DATA (.cache/demo), DEMO_CALLS (100) and DEMO_KEEP=0 (stop the server at the end)
# change it.
set -euo pipefail
cd "$(dirname "$0")/.."

listen=${DEMO_LISTEN:-127.0.0.1:4566}
data=${DEMO_DATA:-.cache/demo}
calls=${DEMO_CALLS:-100}
idle=10s
endpoint=http://$listen
pidfile=$data.pid
log=$data.log
work=$data.work

export MAYFLY_ENDPOINT=$endpoint AWS_ENDPOINT_URL=$endpoint
export AWS_ACCESS_KEY_ID=000000000000 AWS_SECRET_ACCESS_KEY=demo AWS_DEFAULT_REGION=us-east-1 AWS_PAGER=
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_REGION MAYFLY_CONFIG

bold() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
show() { # prints a command as one would type it, and runs it
	local line='$' word
	for word in "$@"; do
		case $word in
		*[!A-Za-z0-9_./:=@%-]*) line+=" '$word'" ;;
		*) line+=" $word" ;;
		esac
	done
	printf '%s\n' "$line"
	"$@"
}
fail() {
	echo "demo: $*" >&2
	exit 1
}

running() { # whether the server of the pid file runs
	[ -s "$pidfile" ] && ps -p "$(cat "$pidfile")" -o args= 2>/dev/null | grep -q 'mayfly serve'
}

# stop ends the server and waits until it is gone, with all that it made.
stop() {
	if running; then
		local pid
		pid=$(cat "$pidfile")
		kill "$pid"
		for _ in $(seq 300); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
		kill -0 "$pid" 2>/dev/null && fail "the server (process $pid) does not stop; its log is $log"
	fi
	rm -f "$pidfile"
}

if [ "${1:-}" = stop ]; then
	stop
	exit
fi

# --- A server of its own.
if running; then
	echo "Stopping the server of the last demo."
	stop
fi
if (exec 3<>"/dev/tcp/${listen%:*}/${listen##*:}") 2>/dev/null; then
	fail "something listens on $listen already: stop it, or choose another address: DEMO_LISTEN=127.0.0.1:4577 make demo"
fi
isolation=native
if [ "$(uname -s)" != Linux ] || [ "$(id -u)" != 0 ]; then
	isolation=none
	echo "Not root on Linux: the functions run WITHOUT isolation in this demo. \`sudo make demo\` isolates them."
fi
rm -rf "$data" "$work"
mkdir -p "$(dirname "$data")" "$work"

bold "A server, with everything under $data and an idle time of $idle instead of 15 minutes"
serve=(bin/mayfly serve --listen "$listen" --data "$data" --idle-timeout "$idle" --isolation "$isolation")
echo "\$ ${serve[*]}"
nohup "${serve[@]}" >"$log" 2>&1 </dev/null &
echo $! >"$pidfile"
trap 'code=$?; if [ $code != 0 ]; then echo "demo: failed; the end of the log ($log):" >&2; tail -n 20 "$log" >&2; fi
	if [ $code != 0 ] || [ "${DEMO_KEEP:-1}" = 0 ]; then stop; fi' EXIT
for _ in $(seq 200); do
	curl -sf "$endpoint/_mayfly/health" >/dev/null && break
	running || fail "the server ended"
	sleep 0.05
done
curl -sf "$endpoint/_mayfly/health" || fail "the server does not answer"

# --- Deploy.
bold "The same function in three languages, deployed"
for language in node python go; do
	show bin/mayfly deploy "examples/process-order-$language"
done
bin/mayfly deploy scripts/demo-function --name which-instance --timeout 60s >"$work/which.url" 2>/dev/null
show bin/mayfly ls

# --- Call.
bold "Called by the aws command"
binary=()
if aws --version 2>&1 | grep -q '^aws-cli/2'; then binary=(--cli-binary-format raw-in-base64-out); fi
for language in node python go; do
	show aws lambda invoke --function-name "process-order-$language" --payload "file://examples/process-order-$language/event.json" \
		${binary[@]+"${binary[@]}"} "$work/$language.json"
	cat "$work/$language.json"
	echo
	grep -q '"totalCents": \{0,1\}7453' "$work/$language.json" || fail "that is the wrong total"
done

bold "Called by HTTP: a good order and a bad one"
url=$(bin/mayfly deploy examples/process-order-node 2>/dev/null)
show curl -sS "$url" -d @examples/process-order-node/event.json
echo
show curl -sS -w '\nstatus %{http_code}\n' "$url" -d '{"customer":{"id":"c-1"},"items":[{"sku":"TEA","quantity":0,"unitPriceCents":450}]}'

bold "Its log, and where the time of a call goes"
show bin/mayfly invoke process-order-node --payload @examples/process-order-node/event.json --log

# --- Scale.
bold "$calls calls at once"
url=$(cat "$work/which.url")
echo "\$ curl --parallel --parallel-max $calls '$url?hold=10000&n=[1-$calls]'"
began=$(date +%s)
curl -sS --fail --parallel --parallel-immediate --parallel-max "$calls" "$url?hold=10000&n=[1-$calls]" >"$work/instances" 2>"$work/curl.log" &
client=$!
most=0
while kill -0 $client 2>/dev/null; do
	now=$(bin/mayfly ps --json | grep -c '"function": "which-instance"' || true)
	if [ "$now" -gt "$most" ]; then most=$now; fi
	sleep 0.2
done
wait $client || fail "a call failed: $(tail -n 3 "$work/curl.log")"
answers=$(grep -c . "$work/instances")
distinct=$(sort -u "$work/instances" | grep -c .)
echo "$answers answers from $distinct instances, each held for 10 s, in $(($(date +%s) - began)) s; most alive at a time: $most"
[ "$answers" = "$calls" ] && [ "$distinct" = "$calls" ] || fail "$calls calls at once should have had $calls instances"

bold "Nobody calls: the instances go after $idle"
shown=1000000
for _ in $(seq 200); do
	now=$(bin/mayfly ps --json | grep -c '"id":' || true)
	if [ "$now" = 0 ] || [ $((shown - now)) -ge 10 ]; then
		echo "$now instances"
		shown=$now
	fi
	if [ "$now" = 0 ]; then break; fi
	sleep 0.3
done
[ "$now" = 0 ] || fail "instances are still there"

bold "What that would have cost on Lambda"
show bin/mayfly bill

# --- The end.
if [ "${DEMO_KEEP:-1}" = 0 ]; then
	stop
	bold "Done; the server is stopped."
else
	bold "Done. The server goes on running (process $(cat "$pidfile")):"
	echo "  its own pages     $endpoint/_mayfly/"
	echo "  aws command       AWS_ENDPOINT_URL=$endpoint AWS_ACCESS_KEY_ID=000000000000 AWS_SECRET_ACCESS_KEY=x aws lambda list-functions --region us-east-1"
	echo "  its log           $log"
	echo "  stop it           ${DEMO_DATA:+DEMO_DATA=$data }make demo-stop"
fi
