#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The command line without an agent: exit codes of wrong uses, what is said, completion, the manual page,
# and `raio test` over captures that this script writes.
#
#	cli_offline_test.sh BUILD-DIR SOURCE-DIR
set -u
build=$1 source=$2
raio=$build/raio
[ -x "$raio" ] || { echo "no $raio"; exit 1; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export RAIO_SOCKET=$dir/nobody.sock LC_ALL=C.UTF-8
unset NO_COLOR
failures=0

fail()
{
	echo "FAIL: $*"
	sed 's/^/    out: /' out
	sed 's/^/    err: /' err
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

# bytes HEX…: those bytes on stdout.
bytes()
{
	local hex
	hex=$(printf '%s' "$@" | tr -d ' ')
	while [ -n "$hex" ]; do
		printf "\\x${hex:0:2}"
		hex=${hex:2}
	done
}

# capture HEX…: a pcap file with a packet each on stdout.
capture()
{
	bytes d4c3b2a1 02000400 00000000 00000000 ffff0000 01000000
	local packet size
	for packet; do
		packet=${packet// /}
		size=$(printf '%02x%02x0000' $((${#packet} / 2 & 255)) $((${#packet} / 2 >> 8)))
		bytes 01000000 00000000 "$size" "$size" "$packet"
	done
}

udp='020000000002 020000000001 0800 4500001c000000004011 65cf 0a000001 0a000102 10001001 00080000'
arp='ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000001 000000000000 0a000002'
capture "$udp" "$arp" >in.pcap
capture "$udp" "${arp%02}03" >other.pcap

echo "wrong uses have their exit codes"
expect 2 'did you mean' "$raio" craete wire wire.c
expect 2 'NAME is missing' "$raio" run
expect 2 'FILE is missing' "$raio" create wire
expect 2 'did you mean' "$raio" run wire --slize 3
expect 2 '3 to 300' "$raio" run wire --slice 2
expect 2 '3 to 300' "$raio" run wire --slice 301
expect 2 'ports are numbers' "$raio" run wire --ports 0,99
expect 2 'no function name' "$raio" create Wire in.pcap
expect 2 'a time over zero' "$raio" --timeout never list
expect 2 'table or json' "$raio" -o xml list
expect 2 'has no verb' "$raio" queue lits
expect 2 'one word too many' "$raio" delete a b
expect 2 'which packets' "$raio" test "$build/functions/wire.o"
expect 2 'give either a KEY or --all' "$raio" map delete routes
expect 2 'no completion for shell' "$raio" completion tcsh
expect 3 'No such file' "$raio" create wire missing.c
expect 3 'No such file' "$raio" test "$build/functions/wire.o" --pcap missing.pcap
expect 5 'neither C source nor an ELF object' "$raio" function check in.pcap
head -c 400 "$build/functions/wire.o" >cut.o
expect 5 'cut.o' "$raio" function check cut.o
expect 9 'the agent is not running' "$raio" list
expect 9 'start it with `raiod`' "$raio" run wire
head -c 50 in.pcap >cut.pcap
expect 1 'cut.pcap' "$raio" test "$build/functions/wire.o" --pcap cut.pcap
head -c 1000 "$raio" >noise.pcap
expect 1 'noise.pcap' "$raio" test "$build/functions/wire.o" --pcap noise.pcap
echo 'routes 10.0.0.0/99 = port=1' >bad.rules
expect 1 'bad.rules' "$raio" test "$build/functions/ripv4.o" --pcap in.pcap --rules bad.rules
"$raio" help >/dev/full 2>err && fail 'a full disk is no success'

expect 2 'FUNCTION is missing' "$raio" check
expect 2 'one word too many' "$raio" check a.c b.c
expect 2 'did you mean' "$raio" check --progam x a.c
expect 3 'No such file' "$raio" check missing.c
expect 5 'neither C source nor an ELF object' "$raio" check in.pcap
expect 5 'cut.o' "$raio" check ./cut.o
expect 9 'named with its ending or a slash' "$raio" check wire

echo "help, version, quiet streams"
expect 0 'usage: raio map set MAP KEY VALUE' "$raio" help map set
expect 0 'usage: raio run NAME' "$raio" run --help
expect 0 'verbs:' "$raio" help queue
expect 0 'raio 0' "$raio" --version
expect 2 'usage: raio' "$raio"
[ -s out ] && fail 'help that nobody asked for belongs on stderr'
"$raio" help | grep -q $'\033' && fail 'no color into a pipe'

TERM=xterm script -qec "$raio help" /dev/null 2>&1 | grep -q $'\033\[1m' || fail 'a terminal has color'
TERM=xterm NO_COLOR=1 script -qec "$raio help" /dev/null 2>&1 | grep -q $'\033' && fail 'NO_COLOR has none'

echo "a starter that is never overwritten"
expect 0 'my-filter.c' "$raio" new my-filter
expect 4 'not overwritten' "$raio" new my-filter
grep -q 'int my_filter(struct xdp_md' my-filter.c || fail 'the starter has the name as C has it'

echo "raio check: what is proven, and what is checked as it runs"
for name in wire lsl2 ripv4 ddos; do
	expect 0 ' 0 checked as they run; 0 loops' "$raio" check "$build/functions/$name.o"
done
expect 0 'wire: 3 of 3 accesses proven' "$raio" check "$build/functions/wire.o"
cat >unproven.c <<'END'
#include <linux/bpf.h>
#define SEC(name) __attribute__((section(name), used))
static long (*bpf_xdp_adjust_head)(struct xdp_md *, int) = (void *)44;
SEC("xdp") int unproven(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	volatile unsigned char *kept = data;
	if (data + 4 > end)
		return XDP_DROP;
	unsigned char first = kept[0];
	first += kept[4]; // not tested
	bpf_xdp_adjust_head(ctx, 4);
	first += kept[1]; // moved
	return first & 1 ? XDP_PASS : XDP_DROP;
}
END
expect 0 'unproven: 3 of 5 accesses proven, 2 checked as they run; 0 loops, 1 helper call' \
	"$raio" check unproven.c
grep -q 'unproven.c:11  read .*the packet.*not tested against data_end.*first += kept\[4\];' out ||
	fail 'the access, why, and its line'
grep -q 'unproven.c:13  read .*from before a helper moved the packet.*first += kept\[1\];' out ||
	fail 'the access behind adjust_head'
grep -q 'load ctx->data and ctx->data_end again' out || fail 'what to do'
expect 0 '"why": "not tested against data_end"' "$raio" -o json check unproven.c
[ -s err ] && fail 'a JSON check says nothing on stderr'
expect 0 '"checked": 2' "$raio" check -o json unproven.c

echo "raio test: verdicts, ports, what leaves"
wire=$build/functions/wire.o
expect 0 '2 packets in, 2 out' "$raio" test "$wire" --pcap in.pcap --out out.pcapng
expect 0 'MATCH' "$raio" test "$wire" --pcap in.pcap --expect out.pcapng
expect 0 'MATCH' "$raio" test "$wire" --pcap in.pcap --expect in.pcap
expect 7 'packet 1 that leaves (input packet 1): it leaves out of port 2, expected out of port 1' \
	"$raio" test "$wire" --pcap in.pcap --port 3 --expect out.pcapng
expect 7 'packet 2 that leaves (input packet 2): byte 41 is 02, expected 03' \
	"$raio" test "$wire" --pcap in.pcap --expect other.pcap
grep -q '\^\^' out || fail 'the bytes that differ are underlined'
capture "$udp" >one.pcap
expect 7 '2 packets leave, expected 1' "$raio" test "$wire" --pcap in.pcap --expect one.pcap
expect 0 '"match": true' "$raio" -o json test "$wire" --pcap in.pcap --expect out.pcapng
expect 7 '"match": false' "$raio" -o json test "$wire" --pcap in.pcap --expect other.pcap
[ -s err ] && fail 'a JSON run says nothing on stderr'
expect 0 'redirect  1' "$raio" test "$wire" --pcap in.pcap --verbose
# The interface of a pcapng file is the port: what left by port 1 enters there.
expect 0 'redirect  0' "$raio" test "$wire" --pcap out.pcapng --verbose

echo "raio test: the functions that ship"
# A station asks for the router and is answered; a packet for it is then routed to it.
ask='ffffffffffff 020000000001 0806 0001080006040001 020000000001 0a000001 000000000000 0a0000fe'
route='0200000000a0 020000000009 0800 4500001c000000004011 66c8 0a000009 0a000001 10001001 00080000'
capture "$ask" "$route" >router.pcap
expect 0 '2 packets in, 2 out' "$raio" test "$build/functions/ripv4.o" --pcap router.pcap \
	--rules "$source/functions/ripv4/ripv4.rules" --verbose --show-maps --out routed.pcapng
grep -q '1     0     42  tx        0' out || fail 'the router answers by the port that asked'
grep -q '2     0     42  redirect  0' out || fail 'the packet is routed'
grep -q 'forwarded=1' out || fail 'counters are shown by their fields'
# What must leave, written by hand: TTL 63, checksum one higher, MACs of router and station.
answer='020000000001 0200000000a0 0806 0001080006040002 0200000000a0 0a0000fe 020000000001 0a000001'
routed='020000000001 0200000000a0 0800 4500001c000000003f11 67c8 0a000009 0a000001 10001001 00080000'
capture "$answer" "$routed" >want.pcap
expect 0 'MATCH' "$raio" test "$build/functions/ripv4.o" --pcap router.pcap --expect want.pcap \
	--rules "$source/functions/ripv4/ripv4.rules"
expect 0 '2 packets in' "$raio" test "$build/functions/lsl2.o" --pcap in.pcap \
	--rules "$source/functions/lsl2/lsl2.rules" --show-maps
grep -q '02:00:00:00:00:01' out || fail 'lsl2 has learned the source, shown by its fields'
expect 0 '2 packets in' "$raio" test "$build/functions/ddos.o" --pcap in.pcap \
	--rules "$source/functions/ddos/ddos.rules"
"$raio" test "$build/functions/ddos.o" --pcap in.pcap --show-maps >first 2>&1
sleep 0.1
"$raio" test "$build/functions/ddos.o" --pcap in.pcap --show-maps >second 2>&1
cmp -s first second || fail 'two tests of the same capture give the same'

echo "disassembly with source lines"
expect 0 'wire.c' "$raio" function disasm "$wire"

echo "completion"
for shell in bash zsh fish; do
	expect 0 raio "$raio" completion $shell
done
"$raio" completion bash >complete.bash
bash -n complete.bash || fail 'the bash script is well formed'
PATH=$build:$PATH bash -c '
	source ./complete.bash
	COMP_WORDS=(raio run x --slice f) COMP_CWORD=4
	_raio
	echo "${COMPREPLY[*]}"' >out 2>err
grep -qx forever out || fail 'bash completes the values of options'
expect 0 'create' "$raio" __complete -- cre
expect 0 'cancel' "$raio" __complete -- run ca
expect 0 '--slice' "$raio" __complete -- run x --sl
"$raio" __complete -- describe w >out 2>err || fail 'completion is silent without an agent'

echo "the manual page is that of the table"
"$raio" __man >raio.1.scd
cmp raio.1.scd "$source/docs/man/raio.1.scd" ||
	fail 'docs/man/raio.1.scd is old: raio __man >docs/man/raio.1.scd'

[ $failures -eq 0 ] || { echo "$failures failed"; exit 1; }
echo "all as expected"
