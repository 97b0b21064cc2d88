#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Maps whose entries are programs, maps or records, against a real agent and a soft card, as any user:
# a dispatcher whose table of tail calls rules fill and commands change while packets flow.
#
#	gen -- port 0  +------+  port 1 -- null
#	               | card |
#	               +------+
#
#	map_test.sh BUILD-DIR SOURCE-DIR
set -u
build=$1
raio=$build/raio
for program in raio raiod raio-card; do
	[ -x "$build/$program" ] || { echo "no $build/$program"; exit 1; }
done
dir=$(mktemp -d)
chmod 755 "$dir" # an agent that was started as root gives its rights up
cd "$dir" || exit 1
export RAIO_SOCKET=$dir/run/raiod.sock LC_ALL=C.UTF-8 TERM=dumb
mkdir run
"$build/raiod" --socket "$RAIO_SOCKET" --state "$dir/state" --port gen:rate=5kpps --port null \
	>agent.log 2>&1 &
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

# counts MAP KEY: the number that this entry holds.
counts()
{
	"$raio" -q map show "$1" --key "$2" | sed -n 's/.*-> *//p'
}

# grows MAP KEY: whether packets come by there now.
grows()
{
	local before
	before=$(counts "$1" "$2")
	sleep 0.2
	[ "$(counts "$1" "$2")" -gt "$before" ]
}

eventually "$raio" card
[ $failures -eq 0 ] || { sed 's/^/    agent: /' agent.log; exit 1; }

cat >dispatch.c <<'END'
#include <raio/raio.h>

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} stages SEC(".maps");

struct counts {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
} passed SEC(".maps"), east SEC(".maps"), west SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, __u32);
	__array(values, struct counts);
} sides SEC(".maps");

static __always_inline void count(void *map, __u32 key)
{
	__u64 *value = bpf_map_lookup_elem(map, &key);
	if (value)
		__sync_fetch_and_add(value, 1);
}

SEC("xdp") int enter(struct xdp_md *ctx)
{
	__u32 side = 7;
	void *counts = bpf_map_lookup_elem(&sides, &side);
	if (counts)
		count(counts, 0);
	bpf_tail_call(ctx, &stages, 0);
	count(&passed, 0);
	return XDP_DROP;
}

SEC("xdp") int first(struct xdp_md *ctx)
{
	count(&passed, 1);
	return XDP_DROP;
}

SEC("xdp") int second(struct xdp_md *ctx)
{
	count(&passed, 2);
	return XDP_DROP;
}

char _license[] SEC("license") = "GPL";
END

echo "rules name programs and maps of the object"
echo 'stages 0 = frist' >wrong.rules
expect 1 "no program 'frist': write one of enter, first, second" \
	"$raio" create dispatch dispatch.c --rules wrong.rules
echo 'sides 7 = stages' >wrong.rules
expect 1 'map stages has not the type' "$raio" create dispatch dispatch.c --rules wrong.rules
printf 'stages 0 = first # what all packets take\nsides 7 = east\n' >dispatch.rules
expect 0 'dispatch created' "$raio" create dispatch dispatch.c --rules dispatch.rules
expect 0 'queued' "$raio" run dispatch --slice forever --no-wait
eventually live dispatch

echo "they are shown by name"
expect 0 '0 -> first' "$raio" map stages
expect 0 '7 -> east' "$raio" map sides
expect 0 '"value": "first"' "$raio" map stages -o json
eventually grows passed 1
eventually grows east 0

echo "the table changes while packets flow"
expect 0 'set: 0 -> second' "$raio" map set stages 0 second
eventually grows passed 2
grows passed 1 && fail "packets still take the first stage"
expect 0 '0 -> second' "$raio" map stages
expect 0 'west' "$raio" map set sides 7 west
eventually grows west 0
grows east 0 && fail "packets are still counted in the east"
expect 1 "no program 'third'" "$raio" map set stages 0 third
expect 1 "no map 'north'" "$raio" map set sides 7 north
expect 1 'beyond its end' "$raio" map set stages 9 first
expect 0 'would be set' "$raio" map set stages 0 first --dry-run
grows passed 2 || fail "what was refused has changed the table"
echo 'stages 0 = first' >live.rules
expect 0 'loaded' "$raio" map load stages live.rules
eventually grows passed 1
expect 0 'deleted: 0' "$raio" map delete stages 0
expect 0 'deleted: 7' "$raio" map delete sides 7
eventually grows passed 0
grows west 0 && fail "packets are still counted in the west"
expect 0 '0 of 4 entries' "$raio" map stages
expect 3 'no entry' "$raio" map delete stages 0
expect 0 'first' "$raio" map set stages 0 first
expect 0 'packets lost: 0' "$raio" update dispatch --rules dispatch.rules

cat >exporter.c <<'END'
#include <raio/raio.h>

struct sample {
	__u32 number;
	__u16 size, port;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
	__type(value, struct sample);
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} heads SEC(".maps");

__u32 seen;

SEC("xdp") int exporter(struct xdp_md *ctx)
{
	__u32 number = __sync_fetch_and_add(&seen, 1), mark = 0xfeedc0de;
	if (number % 16)
		return XDP_DROP;
	struct sample *sample = bpf_ringbuf_reserve(&samples, sizeof(*sample), 0);
	if (sample) {
		sample->number = number;
		sample->size = ctx->data_end - ctx->data;
		sample->port = raio_port(ctx);
		bpf_ringbuf_submit(sample, 0);
	}
	bpf_perf_event_output(ctx, &heads, BPF_F_CURRENT_CPU | 6ULL << 32, &mark, sizeof(mark));
	return XDP_DROP;
}

char _license[] SEC("license") = "GPL";
END

echo "records of ring and perf buffers"
expect 0 'cancelled' "$raio" run cancel 1
expect 0 'exporter created' "$raio" create exporter exporter.c
expect 0 'queued' "$raio" run exporter --slice forever --no-wait
eventually live exporter
sleep 0.3
expect 0 'number=0, size=60, port=0' "$raio" map events samples --count 5
expect 0 'number=80, size=60, port=0' "$raio" map events samples --count 5
[ "$(wc -l <out)" -eq 5 ] || fail "not five records"
grep -q 'number=64,' out && fail "a record was taken twice"
expect 0 '0xdec0edfe' "$raio" map events heads --count 3
expect 0 '"size":10' "$raio" map events heads --count 1 -o json
expect 1 'holds entries' "$raio" map events .bss
expect 1 'raio map events' "$raio" map samples
expect 1 'holds records' "$raio" map set samples 0 1
expect 1 'holds records' "$raio" map set heads 0 1
expect 1 'holds records' "$raio" map delete samples --all
expect 2 '--count' "$raio" map events samples --count 0
expect 3 'no map' "$raio" map events nothing

echo "those who follow get all, also over a change of the code, to the end of the run"
"$raio" map events samples --follow >follow1 2>err1 &
first=$!
"$raio" map events samples --follow -o json >follow2 2>err2 &
second=$!
eventually grep -q 'size=60' follow1
eventually grep -q 'size=60' follow2
sed 's/0xfeedc0de/0xfeedc0df/; s/port = raio_port(ctx)/port = 77/' exporter.c >changed.c
expect 0 'packets lost: 0' "$raio" update exporter changed.c
eventually grep -q 'port=77' follow1
eventually grep -q 'port=77' follow2
expect 0 'size=60' "$raio" map events samples --follow --count 3
expect 0 'cancelled' "$raio" run cancel 2
wait $first || fail "the first follower failed: $(cat err1)"
wait $second || fail "the second follower failed: $(cat err2)"
# Of one generation: no number is missing or comes twice.
sed -n 's/.*number=\([0-9]*\), size=60, port=0$/\1/p' follow1 |
	awk 'NR > 1 && $1 != last + 16 { bad = 1 } { last = $1 } END { exit bad || NR < 2 }' ||
	fail "records are missing or out of order"

[ $failures -eq 0 ] || { sed 's/^/    agent: /' agent.log; echo "$failures failures"; exit 1; }
echo "all well"
