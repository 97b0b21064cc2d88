# SPDX-License-Identifier: Apache-2.0
# ./demo with privileges: four hosts in network namespaces, joined by a soft card with four AF_XDP ports in a fifth.
#
#	h0 10.9.0.1, 10.0.0.1 --veth-- p0 +------+ p2 --veth-- h2 10.9.0.3, 10.0.2.1
#	                                  | card |
#	h1 10.9.0.2, 10.0.1.1 --veth-- p1 +------+ p3 --veth-- h3 10.9.0.4, 10.0.3.1
space=raio-demo-$$

in_host() {
	host=$1
	shift
	exec nsenter "--net=/run/netns/$space-h$host" "$@"
}

make_hosts() {
	for name in card h0 h1 h2 h3; do
		ip netns add "$space-$name" 2>"$dir/error" || fail "cannot make a namespace: $(cat "$dir/error")"
		namespaces="$namespaces $space-$name"
		ip -n "$space-$name" link set lo up
	done
	for i in 0 1 2 3; do
		make_host $i >"$dir/error" 2>&1 || fail "cannot make host $i: $(cat "$dir/error")"
	done
}

make_host() (
	set -e
	ip -n "$space-card" link add "p$1" type veth peer name eth0 netns "$space-h$1"
	ip netns exec "$space-card" sysctl -qw "net.ipv6.conf.p$1.disable_ipv6=1" 2>/dev/null || true
	# What leaves a host for AF_XDP must be a finished packet: no checksum or segmentation is left to a device.
	(in_host "$1" ethtool -K eth0 tx off tso off gso off) || exit 1
	ip -n "$space-h$1" address add "10.9.0.$(($1 + 1))/24" dev eth0
	ip -n "$space-h$1" address add "10.0.$1.1/24" dev eth0
	ip -n "$space-card" link set "p$1" up
	ip -n "$space-h$1" link set eth0 up
	ip -n "$space-h$1" route add default via "10.0.$1.254"
)

# ping_from HOST ADDRESS [OPTION…]: writes ping's output to $dir/ping.HOST.ADDRESS; sets `ping_pid`.
ping_from() {
	from=$1 to=$2
	shift 2
	in_host "$from" ping -n "$@" "$to" >"$dir/ping.$from.$to" 2>&1 &
	ping_pid=$!
	pids="$pids $ping_pid"
}

# ping_result WHAT HOST ADDRESS: a row; fails if nothing came back.
ping_result() {
	result=$(sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\2 of \1 came back/p' \
		"$dir/ping.$2.$3")
	times=$(sed -n 's,^rtt min/avg/max/mdev = [^/]*/\([^/]*\)/\([^/]*\)/.*,\, mean \1 ms\, longest \2 ms,p' \
		"$dir/ping.$2.$3")
	case $result in
	'' | '0 of '*) fail "$1: nothing came back: $(tail -n 3 "$dir/ping.$2.$3")" ;;
	esac
	row "$1" "$result$times"
}

# ping_all PREFIX SUFFIX: every host to every other, all at the same time.
ping_all() {
	all=''
	for i in 0 1 2 3; do
		for j in 0 1 2 3; do
			[ $i != $j ] || continue
			ping_from $i "$(address "$1" $j)" -q -c 10 -i 0.1 -W 2
			all="$all $ping_pid"
		done
	done
	for pid in $all; do
		await "$pid" || true
	done
	for i in 0 1 2 3; do
		text=''
		for j in 0 1 2 3; do
			[ $i != $j ] || continue
			back=$(sed -n 's/.*transmitted, \([0-9]*\) received.*/\1/p' "$dir/ping.$i.$(address "$1" $j)")
			[ "${back:-0}" -gt 0 ] || fail "$1: host $i cannot ping host $j"
			text="$text  h$j ${back}/10"
		done
		row "ping h$i ->" "${text#  } came back"
	done
}

# The address of host J in the switched network (same) or the routed ones (routed).
address() {
	case $1 in
	same) echo "10.9.0.$(($2 + 1))" ;;
	routed) echo "10.0.$2.1" ;;
	esac
}

# iperf_from HOST ADDRESS [OPTION…]: writes $dir/iperf.HOST.ADDRESS; sets `iperf_pid`.
iperf_from() {
	from=$1 to=$2
	shift 2
	in_host "$from" iperf3 -J -c "$to" --connect-timeout 3000 "$@" >"$dir/iperf.$from.$to" 2>&1 &
	iperf_pid=$!
	pids="$pids $iperf_pid"
}

# iperf_result WHAT HOST ADDRESS
iperf_result() {
	file=$dir/iperf.$2.$3
	problem=$(jq -r '.error // empty' "$file" 2>&1)
	[ -z "$problem" ] || fail "$1: $problem"
	row "$1" "$(jq -r '
		def mbit: . / 1e5 | round / 10 | "\(.) Mb/s";
		if .start.test_start.protocol == "TCP"
		then "\(.end.sum_received.bits_per_second | mbit), \(.end.sum_sent.retransmits) segments sent again as TCP looked for the limit"
		else "\(.end.sum.bits_per_second | mbit), \(.end.sum.packets) packets, \(.end.sum.lost_packets) lost" end' "$file")"
}

show_wire() {
	headline "wire: ports 0 and 1 are joined, and 2 and 3"
	until_state "$wire" running
	ping_from 0 10.9.0.2 -q -c 50 -i 0.02 -W 2
	first=$ping_pid
	ping_from 2 10.9.0.4 -q -c 50 -i 0.02 -W 2
	await "$first" || true
	await $ping_pid || true
	ping_result "ping h0 -> h1" 0 10.9.0.2
	ping_result "ping h2 -> h3" 2 10.9.0.4
	say "  now a ping every 5 ms from h0 to h1, across the change to lsl2"
	ping_from 0 10.9.0.2 -q -i 0.005
	across=$ping_pid
}

show_lsl2() {
	until_state "$lsl2" running
	headline "lsl2: a switch that learns; all hosts are in 10.9.0.0/24"
	pause 0.5
	kill -INT "$across" 2>/dev/null || true
	await "$across" || true
	ping_result "ping h0 -> h1 across the change" 0 10.9.0.2
	ping_all same
	iperf_from 0 10.9.0.3 -t 3
	tcp=$iperf_pid
	iperf_from 1 10.9.0.4 -u -b 50M -l 1200 -t 3
	await "$tcp" || true
	await $iperf_pid || true
	iperf_result "TCP h0 -> h2" 0 10.9.0.3
	iperf_result "UDP h1 -> h3" 1 10.9.0.4
	say "  now pings every 5 ms from h0 and h2, so that the change to ripv4 meets traffic"
	ping_from 0 10.9.0.2 -q -i 0.005
	across=$ping_pid
	ping_from 2 10.9.0.4 -q -i 0.005
	across="$across $ping_pid"
}

show_ripv4() {
	until_state "$ripv4" running
	headline "ripv4: a router; h0 is 10.0.0.1, h1 is 10.0.1.1, and so on"
	end $across
	# The first packet to a host is spent on asking for its MAC address.
	for i in 0 1 2 3; do
		ping_from $i "10.0.$i.254" -q -c 2 -i 0.2 -W 1
	done
	await $ping_pid || true
	ping_result "ping h3 -> the router" 3 10.0.3.254
	ping_all routed
	ping_from 0 10.0.3.1 -t 1 -c 1 -W 2
	await $ping_pid || true
	grep -qi 'time to live exceeded' "$dir/ping.0.10.0.3.1" ||
		fail "a ping with TTL 1 got no 'time to live exceeded': $(cat "$dir/ping.0.10.0.3.1")"
	row "ping h0 -> h3 with TTL 1" "$(sed -n 's/^From \([^ ]*\).*\(Time to live exceeded\).*/\1 says: \2/p' "$dir/ping.0.10.0.3.1")"
	iperf_from 0 10.0.2.1 -t 3
	await $iperf_pid || true
	iperf_result "TCP h0 -> h2, routed" 0 10.0.2.1
}

# The paper, section 4, figure 7.
show_experiment() {
	headline "the paper's first experiment: 5 s towards port 1, then 5 s towards port 0"
	rate=4000
	"$build/devtools/demo/demo-numbered" $rate 60 "$space-h2" "$space-h1" "$space-h0" \
		>"$dir/experiment" 2>"$dir/error" &
	numbered=$!
	pids="$pids $numbered"
	pause 0.2
	kill -0 $numbered 2>/dev/null || fail "$(cat "$dir/error")"
	say "  h2 sends $rate numbered packets a second; h1 and h0 look for them"
	until_state "$p2" finished
	kill $numbered 2>/dev/null || true
	await $numbered || fail "$(cat "$dir/error")"
	pause 1.3
	watch_stop
	say ''
	jq -r --arg levels "$levels" -f devtools/demo/experiment.jq "$dir/experiment"
	say ''
	row "received by port 1, then port 0" "$(jq -r '"\(.first) and \(.second) packets"' "$dir/experiment")"
	row "time of the hand-over" "$(handover) s after the first packet (the paper: 4.999 s)"
	row "from the last to the first packet" "$(jq -r '"\(.gap_us) us"' "$dir/experiment")"
	row "packets lost at the hand-over" "$(jq -r .lost_at_handover "$dir/experiment")"
	row "packets lost at other times" "$(jq -r '.lost - .lost_at_handover' "$dir/experiment")"
	row "packets out of order" "$(jq -r .reordered "$dir/experiment")"
	jq -e '.lost_at_handover == 0 and .first > 0 and .second > 0' "$dir/experiment" >/dev/null ||
		fail "packets were lost at the hand-over: $(jq -c 'del(.series)' "$dir/experiment")"
}

demo() {
	headline "four hosts in network namespaces, a soft card with four AF_XDP ports"
	make_hosts
	start_agent nsenter "--net=/run/netns/$space-card" -- \
		af_xdp:p0,host=none af_xdp:p1,host=none af_xdp:p2,host=none af_xdp:p3,host=none ||
		fail "the agent does not start"
	sed -n 's/^raio-card: info: \(port .*\)/  \1/p' "$dir/agent.log"
	for i in 0 1 2 3; do
		in_host $i iperf3 -s >/dev/null 2>&1 &
		pids="$pids $!"
	done

	headline "five functions"
	create wire functions/wire/wire.c
	create lsl2 functions/lsl2/lsl2.c --rules functions/lsl2/lsl2.rules
	create ripv4 functions/ripv4/ripv4.c --rules functions/ripv4/ripv4.rules
	create_experiment

	headline "five runs, queued one after the other; bits a second by port, in > out"
	queue wire 5
	wire=$run
	queue lsl2 11
	lsl2=$run
	queue ripv4 11
	ripv4=$run
	queue_experiment
	raio queue
	watch_start
	show_wire
	show_lsl2
	show_ripv4
	show_experiment
	picture
	check_receipts 6
}
