#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Kills the agent with SIGKILL at random moments, KILLS times (default 100), while numbered packets flow and
# clients ask for runs, renew and cancel them. Afterwards: no packet was lost or reordered, every run
# that was acknowledged is known and in a state that fits what was acknowledged, none ran twice, the card is the
# one that was started, and nothing is left behind.
#
#	gen seq=1 -- port 0 \        / port 2 -- gen seq=1
#	                     | wire |
#	gen seq=1 -- port 1 /        \ port 3 -- gen seq=1
#
#	kill_test.sh BUILD-DIR SOURCE-DIR
set -u
build=$1 source=$2
kills=${KILLS:-100} rate=2000
dir=$(mktemp -d)
chmod 755 "$dir"
socket=$dir/s
failures=0
spec="gen:seq=1,rate=${rate}pps"
"$build/raiod" --socket "$socket" --state "$dir/state" --default wire \
	--port "$spec" --port "$spec" --port "$spec" --port "$spec" >"$dir/log" 2>&1 &
daemon=$!
loaders=
trap 'kill $daemon $loaders 2>/dev/null; wait 2>/dev/null; rm -rf "$dir"' EXIT

fail()
{
	echo "FAIL: $*"
	failures=$((failures + 1))
}

# ask METHOD PATH [BODY]: the answer, then a line with the HTTP status (000: no answer).
ask()
{
	curl -s -m 10 --unix-socket "$socket" -X "$1" ${3:+-d "$3"} -w '\n%{http_code}\n' "http://raio$2"
}

# member NAME: the first number or text of that name in the JSON on stdin.
member()
{
	grep -o "\"$1\":\"\{0,1\}[^,\"}]*" | head -n 1 | sed 's/.*://; s/"//'
}

# instant NAME: a time in $run, in milliseconds.
instant()
{
	date -d "$(echo "$run" | grep -o "\"$1\":\"[^\"]*" | head -n 1 | sed 's/.*":"//')" +%s%3N
}

# The agent is the child of the daemon that calls itself so.
agent_pid()
{
	local child
	for child in $(cat "/proc/$daemon/task/$daemon/children"); do
		[ "$(cat "/proc/$child/comm" 2>/dev/null)" = raiod-agent ] && echo "$child"
	done
}

# load PORTS N: asks for runs for ever; writes what was acknowledged: "run ID", "cancel ID".
load()
{
	local answer id
	while [ ! -e "$dir/stop" ]; do
		answer=$(ask POST /v1/runs "{\"function\":\"wire\",\"slice_s\":3,\"ports\":$1}")
		if [ "${answer##*$'\n'}" = 201 ]; then
			id=$(echo "$answer" | member id)
			echo "run $id" >>"$dir/acked.$2"
			if [ $((RANDOM % 3)) -gt 0 ]; then
				answer=$(ask DELETE "/v1/runs/$id")
				[ "${answer##*$'\n'}" = 200 ] && echo "cancel $id" >>"$dir/acked.$2"
			fi
		fi
		sleep 0.2
	done
}

for _ in $(seq 100); do
	case $(ask GET /healthz) in *ok*) break ;; esac
	sleep 0.05
done
object=$(base64 -w 0 "$build/functions/wire.o")
answer=$(ask POST /v1/functions "{\"name\":\"wire\",\"object\":\"$object\"}")
[ "${answer##*$'\n'}" = 201 ] || { echo "cannot create wire: $answer"; cat "$dir/log"; exit 1; }
card=$(ask GET /v1/info | grep -o '"card":{[^}]*' | member pid)
load '[0,1]' 1 &
loaders=$!
load '[2,3]' 2 &
loaders="$loaders $!"

killed=0
while [ $killed -lt "$kills" ]; do
	sleep 0.$(printf '%03d' $((50 + RANDOM % 650)))
	pid=$(agent_pid)
	[ -n "$pid" ] && kill -9 $pid 2>/dev/null && killed=$((killed + 1))
done
touch "$dir/stop"
wait $loaders
loaders=
echo "killed $killed agents; acknowledged $(cat "$dir"/acked.* | grep -c run) runs," \
	"$(cat "$dir"/acked.* | grep -c cancel) cancellations"

for _ in $(seq 100); do
	case $(ask GET /healthz) in *ok*) break ;; esac
	sleep 0.05
done
now=$(ask GET /v1/info | grep -o '"card":{[^}]*' | member pid)
[ "$now" = "$card" ] || fail "the card was restarted: pid $card, now $now"

ports=$(ask GET /v1/card)
for what in sequence_lost sequence_reordered dropped; do
	for number in $(echo "$ports" | grep -o "\"$what\":[0-9]*" | sed 's/.*://'); do
		[ "$number" = 0 ] || fail "a port's $what is $number"
	done
done
[ "$(echo "$ports" | grep -o '"received":[0-9]*' | head -n 1 | sed 's/.*://')" -gt 1000 ] ||
	fail "no traffic: $ports"

longest=0 finished=0
while read -r what id; do
	run=$(ask GET "/v1/runs/$id")
	[ "${run##*$'\n'}" = 200 ] || { fail "$what $id was acknowledged and is not known"; continue; }
	state=$(echo "$run" | member state)
	case $what.$state in
	run.queued | run.loading | run.running | run.finished | run.cancelled | cancel.cancelled) ;;
	*) fail "$what $id was acknowledged; it is $state: $run" ;;
	esac
	packets=$(echo "$run" | grep -o '"report":{"packets":[0-9]*' | sed 's/.*://')
	[ "${packets:-0}" -gt $longest ] && longest=$packets longest_run=$run
	# No more packets than its own time on the ports holds, and a second: else it ran more than it says.
	if [ "$state" = finished ]; then
		lasted_ms=$(($(instant ended) - $(instant started)))
		[ "${packets:-0}" -le $((2 * rate * (lasted_ms + 1000) / 1000)) ] ||
			fail "a run of $lasted_ms ms had $packets packets: $run"
		[ $lasted_ms -lt 5000 ] || echo "a slice of 3 s ended after $lasted_ms ms, with the agent away: $run"
	fi
	[ "$state" = finished ] && finished=$((finished + 1))
done <<<"$(cat "$dir"/acked.*)"
# A slice is 3 s at two ports' rate; an agent that is away when it ends adds at most a restart.
[ $longest -le $((2 * rate * 5)) ] ||
	fail "a run had $longest packets: its slice ran twice, or ended late: $longest_run"
[ $finished -gt 0 ] || fail "no run finished"
twice=$(ask GET '/v1/swaps?limit=2000' | grep -o '"old":{[^}]*},"new":{"generation":[0-9]*,"run":"r[0-9]*"' |
	sed 's/.*"run":"\(r[0-9]*\)"/\1/' | sort | uniq -d | tr '\n' ' ')
[ -z "$twice" ] || fail "swapped in more than once: $twice"
echo "$finished runs finished, the longest had $longest packets"

kill $daemon
wait $daemon || fail "raiod ended with code $?"
[ -e "$socket" ] && fail "the socket is left behind"
kill -0 "$card" 2>/dev/null && fail "the card is left behind"
if [ $failures -gt 0 ]; then
	tail -n 40 "$dir/log"
	exit 1
fi
echo "nothing was lost"
