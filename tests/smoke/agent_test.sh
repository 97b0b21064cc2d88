#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The agent over its socket, as any HTTP client sees it: every route, wrong requests, two agents on one
# socket or state, a stale socket, a full disk, a card that is killed, and the end, with nothing left behind.
#
#	gen -- port 0  +------+  port 1 -- gen
#	               | card |
#	               +------+
#
#	agent_test.sh BUILD-DIR SOURCE-DIR
set -u
build=$1 source=$2
dir=$(mktemp -d)
chmod 755 "$dir"
socket=$dir/s
failures=0 daemon=
trap 'kill $daemon 2>/dev/null; wait 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir" || exit 1

fail()
{
	echo "FAIL: $*"
	failures=$((failures + 1))
}

start()
{
	"$build/raiod" --socket "$socket" --state "$dir/state" --port gen:seq=1,rate=1kpps \
		--port gen:seq=1,rate=1kpps "$@" >>log 2>&1 &
	daemon=$!
	for _ in $(seq 200); do
		curl -s --unix-socket "$socket" http://raio/healthz 2>/dev/null | grep -q ok && return
		sleep 0.05
	done
	fail "raiod does not answer"
	cat log
	exit 1
}

# ask STATUS TEXT METHOD PATH [BODY]: the HTTP status, and TEXT in the answer (in ./out).
ask()
{
	local status
	status=$(curl -s -m 60 --unix-socket "$socket" -o out -w '%{http_code}' -X "$3" \
		${5+--data-binary "$5"} "http://raio$4")
	[ "$status" = "$1" ] || fail "$3 $4: HTTP $status, expected $1: $(head -c 400 out)"
	[ -z "$2" ] || grep -qF -- "$2" out || fail "$3 $4: no '$2' in: $(head -c 400 out)"
}

# alive PID: and not just waiting to be reaped by whoever is process 1 here.
alive()
{
	[ -e "/proc/$1" ] && ! grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null
}

# text FILE: its content as a JSON string.
text()
{
	printf '"%s"' "$(sed 's/\\/\\\\/g; s/"/\\"/g; s/\t/\\t/g' "$1" | awk '{ printf "%s\\n", $0 }')"
}

start
echo "functions"
ask 200 '[]' GET /v1/functions
ask 201 '"instructions"' POST /v1/functions "{\"name\":\"wire\",\"source\":$(text "$source/functions/wire/wire.c"),\"file\":\"wire.c\"}"
ask 409 '"exists"' POST /v1/functions '{"name":"wire","source":"x"}'
ask 422 '"line":1' POST /v1/functions '{"name":"bad","source":"int f( {","file":"bad.c"}'
ask 422 '"rejected"' POST /v1/functions '{"name":"bad","object":"bm8gRUxG"}'
ask 400 'no name for a function' POST /v1/functions '{"name":"../etc","source":"x"}'
ask 400 'slice_s' POST /v1/functions '{"name":"a","source":"x","settings":{"slice_s":301}}'
ask 400 'rules' POST /v1/functions "{\"name\":\"ruled\",\"object\":\"$(base64 -w 0 "$build/functions/wire.o")\",\"rules\":\"nomap 1 = 2\"}"
ask 400 'no JSON' POST /v1/functions '{"name":'
ask 400 'nested' POST /v1/functions "$(printf '[%.0s' $(seq 100))"
ask 200 '"version"' GET /v1/functions/wire
ask 404 'not_found' GET /v1/functions/none
ask 200 'ELF' GET /v1/functions/wire/object
ask 200 'exit' GET /v1/functions/wire/disasm
ask 200 '"slice_s":7' PUT /v1/functions/wire '{"settings":{"slice_s":7}}'
ask 200 'created' GET /v1/functions/wire/logs

echo "runs"
ask 400 'slice_s' POST /v1/runs '{"function":"wire","slice_s":2}'
ask 400 'no port 9' POST /v1/runs '{"function":"wire","ports":[9]}'
ask 404 'no function none' POST /v1/runs '{"function":"none"}'
ask 200 '"state":"finished"' POST '/v1/runs?wait=1' '{"function":"wire","slice_s":3}'
grep -q '"lost":0' out || fail "packets lost: $(tail -n 1 out)"
ask 201 '"id":"r2"' POST /v1/runs '{"function":"wire","slice_s":"forever"}'
ask 201 '"id":"r3"' POST /v1/runs '{"function":"wire"}'
ask 200 '"position":1' GET /v1/runs/r3
ask 200 '"state":"running"' GET '/v1/runs?state=running'
ask 200 '"state":"cancelled"' DELETE /v1/runs/r3
ask 409 'busy' DELETE /v1/runs/r3
ask 200 '"ends"' POST /v1/runs/r2/renew '{"slice_s":30}'
ask 404 'no run r99' GET /v1/runs/r99
ask 404 'no run' GET /v1/runs/x
ask 200 '"swapped":[{' PUT /v1/functions/wire "{\"source\":$(text "$source/functions/wire/wire.c"),\"file\":\"two.c\"}"

echo "maps, card, metrics"
ask 200 'raio_ports' GET /v1/maps
ask 200 '"entries"' GET /v1/maps/raio_ports
ask 404 'no live function' GET /v1/maps/none
ask 200 '"ports"' GET /v1/card
ask 200 '"sequence"' GET /v1/swaps
ask 200 'raio_card_up 1' GET /metrics
ask 200 '"default":"pass"' GET /v1/info
curl -s -m 3 --unix-socket "$socket" http://raio/v1/events >events
grep -q '^event: counters' events || fail "no counters in the events"

echo "wrong requests"
ask 404 'nothing at' GET /v2
ask 400 'takes GET' PATCH /v1/functions/wire
head -c 17000000 /dev/zero >big
ask 413 'too_large' POST /v1/functions @big

echo "a port that cannot be"
for spec in gne: af_xdp:nowhere0 pcap:/nonexistent/in.pcap; do
	timeout 20 "$build/raiod" --socket "$dir/bad" --state "$dir/badstate" --port "$spec" >bad.log 2>&1
	[ $? -eq 1 ] && grep -q 'the card cannot start' bad.log || fail "raiod --port $spec: $(cat bad.log)"
done

echo "two agents"
"$build/raiod" --socket "$socket" --state "$dir/other" >two 2>&1
[ $? -eq 4 ] && grep -q 'another raiod serves' two || fail "a second raiod on the socket: $(cat two)"
"$build/raiod" --socket "$dir/s2" --state "$dir/state" >two 2>&1
[ $? -eq 4 ] && grep -q 'another raiod uses the state' two || fail "a second raiod on the state: $(cat two)"
"$build/raiod" --sockte x >two 2>&1
[ $? -eq 2 ] || fail "a wrong option is no usage error"
"$build/raiod" --socket "$dir/s3" --state "$dir/s3state" --engine fast >two 2>&1
[ $? -eq 2 ] && grep -q 'best, native or interpreter' two || fail "raiod --engine fast: $(cat two)"
ask 200 '"state":"running"' GET /v1/runs/r2

echo "the card is killed"
card=$(curl -s --unix-socket "$socket" http://raio/v1/info | grep -o '"card":{[^}]*' | grep -o '"pid":[0-9]*')
kill -9 "${card#*:}"
for _ in $(seq 100); do
	sleep 0.05
	now=$(curl -s --unix-socket "$socket" http://raio/v1/info | grep -o '"card":{[^}]*' | grep -o '"pid":[0-9]*')
	[ -n "$now" ] && [ "$now" != "$card" ] && break
done
ask 200 '"run":"r2"' GET /v1/card
ask 200 '"state":"running"' GET /v1/runs/r2

echo "the end"
ask 204 '' DELETE /v1/functions/wire
ask 200 '"state":"cancelled"' GET /v1/runs/r2
children=$(cat "/proc/$daemon/task/$daemon/children")
kill $daemon
wait $daemon || fail "raiod ended with code $?"
for child in $children; do
	alive "$child" && fail "process $child is left behind"
done
[ -e "$socket" ] && fail "the socket is left behind"

echo "killed whole, started again: what was kept is there"
start
ask 201 '"name":"kept"' POST /v1/functions "{\"name\":\"kept\",\"object\":\"$(base64 -w 0 "$build/functions/wire.o")\"}"
children=$(cat "/proc/$daemon/task/$daemon/children")
kill -9 $daemon
wait $daemon 2>/dev/null
sleep 0.3
start # takes the stale socket over
ask 200 '"name":"kept"' GET /v1/functions
grep -q 'taking over the card' log || fail "the card that went on was not taken over"
for child in $children; do
	alive "$child" && [ "$(cat "/proc/$child/comm")" != raio-card ] && fail "process $child outlived raiod"
done
kill $daemon
wait $daemon
for child in $children; do
	alive "$child" && fail "process $child is left behind"
done
daemon=

echo "the disk is full"
rm -rf state
limit=$(ulimit -S -f)
ulimit -S -f 600
start
ulimit -S -f "$limit"
object=$(base64 -w 0 "$build/functions/wire.o")
ask 201 '"name":"wire"' POST /v1/functions "{\"name\":\"wire\",\"object\":\"$object\"}"
ask 201 '"id":"r1"' POST /v1/runs '{"function":"wire","slice_s":"forever"}'
status=201
for i in $(seq 100); do
	status=$(curl -s --unix-socket "$socket" -o out -w '%{http_code}' -X POST \
		--data-binary "{\"name\":\"w$i\",\"object\":\"$object\"}" http://raio/v1/functions)
	[ "$status" = 201 ] || break
done
[ "$status" = 507 ] && grep -q '"no_space"' out || fail "a full disk: HTTP $status $(cat out)"
ask 200 '"state":"running"' GET /v1/runs/r1
kill $daemon
wait $daemon || fail "raiod ended with code $? on a full disk"
start
ask 200 "\"name\":\"w$((i - 1))\"" GET /v1/functions
ask 201 "\"name\":\"w$i\"" POST /v1/functions "{\"name\":\"w$i\",\"object\":\"$object\"}"
kill $daemon
wait $daemon
daemon=

if [ $failures -gt 0 ]; then
	tail -n 20 log
	exit 1
fi
echo "all well"
