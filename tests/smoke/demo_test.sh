#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ./demo as a reader of the README starts it, with hosts (as root) and with generators: it succeeds, every change of
# function lost nothing, and nothing is left behind: no process, namespace, interface or file. Neither is
# anything when it is interrupted half-way.
#
#	demo_test.sh BUILD-DIR SOURCE-DIR
set -u -m # -m: what is started in the background can be interrupted
build=$1 source=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/tmp"
chmod 755 "$dir"
chmod 1777 "$dir/tmp"
export RAIO_DEMO_BUILD=$build TMPDIR=$dir/tmp LC_ALL=C.UTF-8
failures=0

fail()
{
	echo "FAIL: $*"
	tail -n 40 "$dir/out" | sed 's/^/    /'
	failures=$((failures + 1))
}

# Processes that carry this test's TMPDIR, namespaces of the demo with this pid.
nothing_left()
{
	local left
	left=$(find "$dir/tmp" -mindepth 1)
	[ -z "$left" ] || fail "$1: files are left: $left"
	left=$(ip netns list 2>/dev/null | grep "^raio-demo-$2-")
	[ -z "$left" ] || fail "$1: namespaces are left: $left"
	left=$(grep -lz "^TMPDIR=$dir/tmp$" /proc/[0-9]*/environ 2>/dev/null | grep -v "/$$/" |
		while read -r file; do
			pid=${file#/proc/}
			pid=${pid%/environ}
			tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline"
		done | grep -v -e demo_test.sh -e '^grep ' -e '^find ')
	[ -z "$left" ] || fail "$1: processes are left: $left"
}

interfaces()
{
	ip -o link 2>/dev/null | sed 's/^[0-9]*: //; s/[@:].*//' | grep -E '^(p[0-3]|v[01]|eth0|raio)' | sort
}

# whole NAME COMMAND…: to its end.
whole()
{
	local name=$1 pid text
	shift
	echo "$name: to its end"
	"$@" >"$dir/out" 2>&1 &
	pid=$!
	wait $pid || fail "$name: exit code $?"
	[ "$(grep -c 'swap: .*packets lost: 0,' "$dir/out")" -ge 6 ] || fail "$name: receipts as they come"
	! grep 'packets lost: [1-9]' "$dir/out" || fail "$name: packets were lost"
	for text in 'create ripv4' 'wire -> lsl2 ' 'p1 -> p2 ' 'time of the hand-over' 'Done'; do
		grep -qF -- "$text" "$dir/out" || fail "$name: nothing says '$text'"
	done
	nothing_left "$name" $pid
}

# cut NAME SIGNAL CODE TEXT COMMAND…: ended by SIGNAL once TEXT was printed.
cut()
{
	local name="$1 ($2 at '$4')" signal=$2 code=$3 text=$4 pid status
	shift 4
	echo "$name"
	"$@" >"$dir/out" 2>&1 &
	pid=$!
	for _ in $(seq 600); do
		! grep -qF -- "$text" "$dir/out" || break
		kill -0 $pid 2>/dev/null || break
		sleep 0.1
	done
	kill "-$signal" $pid
	wait $pid
	status=$?
	[ $status -eq "$code" ] || fail "$name: exit code $status, expected $code"
	nothing_left "$name" $pid
}

cd "$source" || exit 1
before=$(interfaces)
flow=./demo
if [ "$(id -u)" -eq 0 ]; then
	stranger='setpriv --reuid=65534 --regid=65534 --clear-groups'
	flow="$stranger ./demo"
	# A clone in root's own home is nothing that a stranger can read.
	# shellcheck disable=SC2086
	$stranger test -x "$source/demo" -a -x "$build/raio" || flow='./demo --generators'
	if reason=$(devtools/demo/can-make-hosts); then
		cut hosts INT 130 'soft card with four AF_XDP' ./demo
		cut hosts INT 130 'ping h1 ->' ./demo
		cut hosts TERM 143 'swap: wire -> lsl2' ./demo
		whole hosts ./demo
		grep -q 'TCP h0 -> h2, routed' "$dir/out" || fail 'hosts: TCP through the router'
		grep -q 'Time to live exceeded' "$dir/out" || fail 'hosts: TTL 1'
	else
		echo "hosts: skipped: $reason"
		[ -z "${CI-}" ] || fail "hosts: $reason"
	fi
fi
# Its words.
# shellcheck disable=SC2086
whole generators $flow
[ "$flow" = './demo --generators' ] || grep -q 'generators in the card' "$dir/out" ||
	fail 'generators: it says so'
# shellcheck disable=SC2086
cut generators INT 130 'swap: wire -> lsl2' $flow
[ "$(interfaces)" = "$before" ] || fail "interfaces are left: $(interfaces)"

[ $failures -eq 0 ] || { echo "$failures failed"; exit 1; }
echo "all as expected"
