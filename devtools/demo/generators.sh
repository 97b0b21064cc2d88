# SPDX-License-Identifier: Apache-2.0
# ./demo without privileges: the card makes the packets itself, numbered, and checks the numbers where they leave. Two
# pairs talk: 0 with 1, and 2 with 3.

# sum_of MEMBER: over all ports, now.
sum_of() {
	raio card -o json | jq "[.ports[].$1] | add"
}

# show FUNCTION RUN TEXT: what goes through for three seconds of the run.
show() {
	until_state "$2" running
	headline "$1: $3"
	sent=$(sum_of sent) lost=$(sum_of sequence_lost) reordered=$(sum_of sequence_reordered)
	pause 3
	sent=$(($(sum_of sent) - sent))
	row "delivered meanwhile" "$sent packets"
	row "numbers missing, out of order" "$(($(sum_of sequence_lost) - lost)), $(($(sum_of sequence_reordered) - reordered))"
	[ $sent -gt 0 ] || fail "$1 delivered nothing"
}

# The paper, section 4, figure 7.
show_experiment() {
	until_state "$p1" running
	headline "the paper's first experiment: 5 s towards port 1, then 5 s towards port 0"
	"$build/raio" -q top -o json --watch --interval 250ms >"$dir/fine" 2>/dev/null &
	fine=$!
	pids="$fine $pids"
	until_state "$p2" finished
	end $fine
	pause 1.3
	watch_stop
	raio swap list -o json >"$dir/swaps"
	jq -s --slurpfile swaps "$dir/swaps" '
		($swaps[0] | map(select(.new.function == "p1" or .new.function == "p2")) | sort_by(.sequence)) as $s |
		{slices: 4, at: ([.[] | select(.ports[0].function == "p1")] | length), handover_s: ((($s[1].swap_ns - $s[0].swap_ns) / 1e5 | round) / 1e4), lost: $s[1].lost,
		gap_us: ($s[1].gap_ns / 1e3),
		series: [[.[].ports[1].sent_pps], [.[].ports[0].sent_pps]]}' "$dir/fine" >"$dir/experiment"
	say ''
	jq -r --arg levels "$levels" -f devtools/demo/experiment.jq "$dir/experiment"
	say ''
	row "time of the hand-over" "$(handover) s after the first (the paper: 4.999 s)"
	row "longest gap of a port" "$(jq -r '"\(.gap_us) us"' "$dir/experiment")"
	row "packets lost" "$(jq -r .lost "$dir/experiment")"
}

demo() {
	headline "a soft card with four generators"
	port=gen:seq=1,rate=10kpps,size=512
	start_agent -- $port $port $port $port || fail "the agent does not start"
	sed -n 's/^raio-card: info: \(port .*\)/  \1/p' "$dir/agent.log"

	headline "five functions"
	create wire functions/wire/wire.c
	create lsl2 functions/lsl2/lsl2.c --rules functions/lsl2/lsl2.rules
	create ripv4 functions/ripv4/ripv4.c --rules devtools/demo/generators.rules
	create_experiment

	headline "five runs, queued one after the other; bits a second by port, in > out"
	queue wire 5
	wire=$run
	queue lsl2 5
	lsl2=$run
	queue ripv4 5
	ripv4=$run
	queue_experiment
	raio queue
	watch_start
	show wire "$wire" "ports 0 and 1 are joined, and 2 and 3"
	show lsl2 "$lsl2" "a switch that learns"
	show ripv4 "$ripv4" "a router between four networks"
	show_experiment
	picture
	check_receipts 6
}
