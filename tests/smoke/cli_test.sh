#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The command line against a real agent and a soft card with generator ports, as any user: the daily
# commands, maps, changes while a function runs, wrong uses and their exit codes.
#
#	gen -- port 0  +------+  port 2 -- null
#	gen -- port 1  | card |  port 3 -- null
#	               +------+
#
#	cli_test.sh BUILD-DIR SOURCE-DIR
set -u
build=$1 source=$2
raio=$build/raio
for program in raio raiod raio-card; do
	[ -x "$build/$program" ] || { echo "no $build/$program"; exit 1; }
done
dir=$(mktemp -d)
chmod 755 "$dir" # an agent that was started as root gives its rights up
cd "$dir" || exit 1
export RAIO_SOCKET=$dir/run/raiod.sock LC_ALL=C.UTF-8 TERM=dumb
mkdir run
"$build/raiod" --socket "$RAIO_SOCKET" --state "$dir/state" --port gen:rate=50kpps \
	--port gen:rate=50kpps --port null --port null >agent.log 2>&1 &
agent=$!
trap 'kill $agent 2>/dev/null; wait $agent 2>/dev/null; rm -rf "$dir"' EXIT
failures=0

fail()
{
	echo "FAIL: $*"
	head -n 20 out | sed 's/^/    out: /'
	head -n 20 err | sed 's/^/    err: /'
	failures=$((failures + 1))
}

# expect EXIT TEXT COMMAND…: the exit code, and TEXT in what it printed on either stream.
expect()
{
	local want=$1 text=$2
	shift 2
	"$@" >out 2>err
	local got=$?
	[ $got -eq "$want" ] || fail "$*: exit code $got, expected $want"
	grep -qF -- "$text" out err || fail "$*: nothing says '$text'"
}

# says TEXT: in the output of the last command, too.
says()
{
	grep -qF -- "$1" out err || fail "nothing says '$1'"
}

# eventually COMMAND…: within five seconds.
eventually()
{
	local i
	for i in $(seq 50); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	fail "never: $*"
}

live()
{
	[ "$("$raio" -q describe "$1" | sed -n 's/^live run *//p')" != - ]
}

idle()
{
	[ -z "$("$raio" -q queue)" ]
}

eventually "$raio" card
[ $failures -eq 0 ] || { sed 's/^/    agent: /' agent.log; exit 1; }

echo "create, list, describe"
expect 0 'filter.c' "$raio" new filter
expect 0 'would create' "$raio" create filter filter.c --rules filter.rules --dry-run
expect 0 'no functions yet' "$raio" list
expect 0 'filter created, version' "$raio" create filter filter.c --rules filter.rules --slice 3
expect 0 'wire created' "$raio" create wire "$build/functions/wire.o"
expect 0 'wireless created' "$raio" create wireless "$source/functions/wire/wire.c"
expect 0 'filter' "$raio" list
expect 0 '"name": "filter"' "$raio" describe fil -o json
expect 0 'forward' "$raio" describe fil
expect 0 ' 0 checked as they run' "$raio" check fil
expect 3 'no function' "$raio" check zzz
"$raio" __complete -- describe fi | grep -q '^filter' || fail 'completion knows live names'

echo "wrong uses of an agent have their exit codes"
expect 4 'raio update' "$raio" create wire "$build/functions/wire.o"
expect 4 'exists' "$raio" create wire "$build/functions/wire.o" --dry-run
echo 'forward 0 = five' >five.rules
expect 1 'five.rules' "$raio" create other filter.c --rules five.rules --dry-run
expect 1 'five.rules' "$raio" update filter --rules five.rules --dry-run
expect 1 'five.rules' "$raio" run filter --rules five.rules --dry-run
expect 1 'no port 9' "$raio" run filter --ports 0,9 --dry-run
expect 0 'would update' "$raio" update filter --rules filter.rules --dry-run
expect 0 'would run' "$raio" run filter --ports 0,1 --dry-run
expect 3 "did you mean 'wire'" "$raio" run wier
expect 3 'more than one function' "$raio" describe wi
expect 3 'no function' "$raio" describe zzz
expect 3 'did you mean' "$raio" delete wirel
expect 3 '' "$raio" run describe r999
expect 3 '' "$raio" run cancel r999
expect 3 'no map' "$raio" map show nothing
expect 1 'port' "$raio" run wire --ports 0,9
echo 'nowhere 1 = 2' >nowhere.rules
expect 1 'nowhere.rules: line 1' "$raio" create bad filter.c --rules nowhere.rules
expect 2 'nothing to change' "$raio" update wire
sed 's/return XDP_PASS/return XDP_PAS/' filter.c >typo.c
line=$(grep -n 'XDP_PAS;' typo.c | cut -d: -f1)
expect 5 "typo.c:$line" "$raio" create typo typo.c
head -c 700 "$build/functions/wire.o" >cut.o
expect 5 '' "$raio" create cut cut.o
head -c 3000 /dev/urandom >noise.o
expect 5 'neither C source nor' "$raio" create noise noise.o
(printf '\177ELF'; cat noise.o) >hostile.o
expect 5 '' "$raio" create hostile hostile.o
expect 4 '' timeout 10 "$build/raiod" --socket "$RAIO_SOCKET" --state "$dir/state2"
expect 4 '' timeout 10 "$build/raiod" --socket "$dir/run/other.sock" --state "$dir/state"
expect 0 'filter' "$raio" list

# Who may not open the socket is told so.
if [ "$(id -u)" -eq 0 ]; then
	expect 8 'no permission' setpriv --reuid=12345 --regid=12345 --clear-groups "$raio" list
else
	mode=$(stat -c %a "$RAIO_SOCKET")
	chmod 000 "$RAIO_SOCKET"
	expect 8 'no permission' "$raio" list
	chmod "$mode" "$RAIO_SOCKET"
fi

echo "a run to its end, with its report"
expect 0 'packets lost: 0' "$raio" run filter --return-maps
says 'run r1 running on ports'
says 'VERDICT'
says 'redirect'
says 'swap in   pass -> filter (r1)'
says 'map seen'
says '0  -> packets='
expect 0 'swap out' "$raio" run describe r1
expect 0 '"state": "finished"' "$raio" run describe 1 -o json
expect 0 'filter' "$raio" swap list
expect 0 'swap' "$raio" logs filter --tail 5
expect 0 '"text"' "$raio" logs filter -o json

echo "a run that faults says file and line, and what ran goes on"
cat >faulty.c <<'EOF'
#include <raio/raio.h>
SEC("xdp") int faulty(struct xdp_md *ctx)
{
	char *data = (char *)(long)ctx->data_end;
	return data[4]; // the line that faults
}
char _license[] SEC("license") = "GPL";
EOF
expect 0 'faulty created' "$raio" create faulty faulty.c
expect 0 'faulty.c:5' "$raio" run faulty --slice 3 --ports 0
says 'read outside every window'

echo "maps while it runs"
expect 0 'r' "$raio" run filter --slice forever --no-wait
eventually live filter
expect 0 '0  -> 2' "$raio" map forward
expect 0 'set: 5 -> 3' "$raio" map set forward 5 3
expect 0 '5 -> 3' "$raio" map show forward --key 5
expect 0 'would be set' "$raio" map set forward 6 4 --dry-run
expect 1 'line 1' "$raio" map set forward 6 four --dry-run
expect 0 '6 -> 0' "$raio" map forw --key 6
expect 1 '' "$raio" map set forward 99 1
expect 1 '' "$raio" map set forward five 1
expect 4 '' "$raio" map set forward 5 1 --flags new
echo 'forward 7 = 9' >more.rules
expect 0 'loaded' "$raio" map load forward more.rules
expect 0 '7 -> 9' "$raio" map show forward -k 7
printf 'forward 8 = 9\nforward = 1\n' >wrong.rules
expect 1 'line 2' "$raio" map load forward wrong.rules
expect 0 '8 -> 0' "$raio" map show forward -k 8
expect 0 'seen' "$raio" map list
expect 0 '"entries"' "$raio" map seen -o json

echo "live throughput"
expect 0 'pps' "$raio" top --count 1 --interval 200ms
[ "$("$raio" top -o json --watch --count 3 --interval 100ms | wc -l)" -eq 3 ] || fail 'a line a reading'
expect 0 '"received_pps"' "$raio" top -o json --interval 100ms
expect 0 'gen' "$raio" card
expect 0 '"spec"' "$raio" port list -o json

echo "an update of the code while it runs, its maps carried"
sed 's/return XDP_PASS/return XDP_DROP/' filter.c >filter2.c
expect 0 'packets lost: 0' "$raio" update filter filter2.c --maps carry
expect 0 '7 -> 9' "$raio" map show forward -k 7

echo "renew, cancel, queue, time-out"
run=$("$raio" -q queue | awk '/running/ { print $1 }')
expect 0 'renewed' "$raio" run renew "$run" --slice 30
expect 2 'for how long' "$raio" run renew "$run"
expect 6 'goes on' "$raio" --timeout 500ms run wire
expect 0 'wire' "$raio" queue
"$raio" top -o json --watch --count 10 --interval 200ms >top.json &
top=$!
"$raio" top --count 10 --interval 200ms >top.text &
sleep 0.5
expect 0 'cancelled' "$raio" run cancel "$run"
wait $top $!
grep -q '"swapped":true' top.json || fail 'top marks a change of function'
grep -q '^| .* packets lost: 0' top.text || fail 'top prints the receipt of a change of function'
"$raio" -q queue | awk '/wire/ { print $1 }' | while read -r id; do
	"$raio" run cancel "$id" >/dev/null
done
eventually idle
expect 0 'nothing runs' "$raio" queue

echo "a run that nobody confirms is rolled back"
expect 10 'rolled back' "$raio" run wire --slice 10 --confirm 1s
"$raio" -q run wire --slice 3 --confirm 2s >out 2>err &
waiting=$!
eventually live wire
expect 0 'confirmed' "$raio" run confirm "$("$raio" -q queue | awk '/running/ { print $1 }')"
wait $waiting || fail 'a confirmed run ends well'

echo "one document, or a line a change"
expect 0 '"state": "finished"' "$raio" run wire --slice 3 -o json
[ "$("$raio" -q run wire --slice 3 -o json --watch | grep -c '^{.*}$')" -ge 3 ] ||
	fail 'a document a change of state'

echo "Ctrl-C ends the waiting, not the run"
(
	set -m
	"$raio" run wire --slice 30 >out 2>err &
	run=$!
	eventually live wire
	kill -INT $run
	wait $run
) 2>/dev/null
[ $? -eq 130 ] || fail "Ctrl-C: exit code $?, expected 130"
says 'goes on'
expect 0 'running' "$raio" queue

echo "delete"
expect 0 'would delete' "$raio" delete wireless --dry-run
expect 0 'wireless deleted' "$raio" delete wireless
expect 3 '' "$raio" delete wireless

echo "an agent that ends"
kill $agent
wait $agent
expect 9 'the agent is not running' "$raio" list

[ $failures -eq 0 ] || { echo "$failures failed"; tail -n 5 agent.log; exit 1; }
echo "all as expected"
