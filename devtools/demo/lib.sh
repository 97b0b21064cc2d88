# SPDX-License-Identifier: Apache-2.0
# What both flows of ./demo use: headlines, steps, the live view, receipts, cleaning up. Long commands run in the
# background and are waited for, so that a signal is acted on at once.
dir='' pids='' namespaces='' watcher='' bold='' plain=''
levels=' .:-=+*#@'
[ "$(locale charmap 2>/dev/null)" != UTF-8 ] || levels=' ▁▂▃▄▅▆▇█'
export LC_ALL=C # the words and decimal points of ping and others
if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
	bold=$(printf '\033[1m') plain=$(printf '\033[0m')
fi

say() {
	printf '%s\n' "$*"
}

headline() {
	printf '\n%s== %s%s\n' "$bold" "$*" "$plain"
}

# row WHAT RESULT
row() {
	printf '  %-34s %s\n' "$1" "$2"
}

fail() {
	printf '\ndemo: %s\n' "$*" >&2
	if [ -n "$dir" ] && [ -s "$dir/agent.log" ]; then
		echo "the last lines of the agent's and the card's log:" >&2
		tail -n 12 "$dir/agent.log" | sed 's/^/    /' >&2
	fi
	exit 1
}

# Waits for a background process and forgets it; a signal interrupts it.
await() {
	code=0
	wait "$1" || code=$?
	rest=""
	for pid in $pids; do
		[ "$pid" = "$1" ] || rest="$rest $pid"
	done
	pids=$rest
	return $code
}

pause() {
	sleep "$1" &
	pids="$! $pids"
	await $!
}

# A number may have been given to another process since.
is_mine() {
	grep -q "^PPid:[[:space:]]*$$\$" "/proc/$1/status" 2>/dev/null
}

# end PID…: asks them to end, and waits until they have.
end() {
	for pid in "$@"; do
		! is_mine "$pid" || kill "$pid" 2>/dev/null || true
	done
	for pid in "$@"; do
		wait "$pid" 2>/dev/null || true
	done
}

# Undoes everything; also half-way.
clean_up() {
	status=$?
	trap '' INT TERM HUP PIPE
	trap - EXIT
	end $pids
	for namespace in $namespaces; do
		for pid in $(ip netns pids "$namespace" 2>/dev/null); do
			kill "$pid" 2>/dev/null || true
		done
	done
	[ -z "$watcher" ] || wait "$watcher" 2>/dev/null || true
	for namespace in $namespaces; do
		ip netns delete "$namespace" 2>/dev/null || true
	done
	[ -z "$dir" ] || rm -rf "$dir"
	[ $status != 0 ] || say "Done; nothing is left behind. README.md says how to go on."
	exit $status
}

interrupted() {
	echo "demo: interrupted; cleaning up" >&2
	exit "$1"
}

prepare() {
	trap clean_up EXIT
	trap 'interrupted 130' INT
	trap 'interrupted 143' TERM
	trap 'interrupted 129' HUP
	trap 'exit 141' PIPE
	dir=$(mktemp -d "${TMPDIR:-/tmp}/raio-demo.XXXXXX")
	chmod 755 "$dir" # an agent that was started as root gives its rights up
	mkdir "$dir/run"
	export RAIO_SOCKET="$dir/run/raiod.sock"
}

raio() {
	"$build/raio" -q "$@"
}

# start_agent COMMAND-PREFIX… -- PORT…: until it answers.
start_agent() {
	prefix=''
	while [ "$1" != -- ]; do
		prefix="$prefix $1"
		shift
	done
	shift
	ports=''
	for port in "$@"; do
		ports="$ports --port $port"
	done
	# Both are lists of words.
	# shellcheck disable=SC2086
	$prefix "$build/raiod" --socket "$RAIO_SOCKET" --state "$dir/state" $ports >"$dir/agent.log" 2>&1 &
	agent=$!
	pids="$pids $agent"
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		! raio card >/dev/null 2>&1 || return 0
		kill -0 $agent 2>/dev/null || return 1
		pause 0.25
	done
	return 1
}

# create NAME FILE [OPTION…]
create() {
	name=$1
	before=$(date +%s%N)
	"$build/raio" -q create "$@" -o json >"$dir/created" 2>"$dir/error" ||
		fail "cannot create $name: $(cat "$dir/error")"
	ms=$((($(date +%s%N) - before) / 1000000))
	row "create $name" "$(jq -r '"\(.instructions) instructions"' "$dir/created"), compiled and checked in $ms ms"
}

# queue FUNCTION SLICE: sets `run` to the run's id.
queue() {
	run=$(raio run "$1" --slice "$2" --no-wait -o json 2>"$dir/error" | jq -r .id)
	[ -n "$run" ] || fail "cannot queue $1: $(cat "$dir/error")"
}

# until_state RUN STATE…: waits until it is in one of these states.
until_state() {
	id=$1
	shift
	for _ in $(seq 600); do
		state=$(raio run describe "$id" -o json 2>/dev/null | jq -r .state)
		for wanted in "$@"; do
			[ "$state" != "$wanted" ] || return 0
		done
		case $state in failed | cancelled | expired | finished) break ;; esac
		pause 0.1
	done
	fail "run $id is $state, expected $*: $(raio run describe "$id" -o json | jq -c .error)"
}

# Prints a line a second, and the receipts as they come.
watch_start() {
	printf "\n         %-7s  %-15s  %-15s  %-15s  %s\n" function "  port 0" "  port 1" "  port 2" "  port 3"
	mkfifo "$dir/top"
	"$build/raio" -q top -o json --watch >"$dir/top" 2>/dev/null &
	top=$!
	pids="$top $pids"
	tee "$dir/readings" <"$dir/top" | jq --unbuffered -r -f devtools/demo/reading.jq | watch_lines &
	watcher=$!
}

watch_stop() {
	end $top
	await $watcher || true
	watcher=''
}

watch_lines() {
	second=0 sequence=0
	print_receipts
	while IFS= read -r line; do
		if [ "$line" = swap ]; then
			print_receipts
			continue
		fi
		second=$((second + 1))
		printf '  %3d s  %s\n' $second "$line"
	done
}

# Those after $sequence.
print_receipts() {
	raio swap list -o json 2>/dev/null >"$dir/swaps" || return 0
	jq -r --argjson after "$sequence" -f devtools/demo/receipts.jq "$dir/swaps" >"$dir/new" || return 0
	while read -r number lost text; do
		sequence=$number
		printf '  %s------ swap: %s%s\n' "$bold" "$text" "$plain"
	done <"$dir/new"
}

# check_receipts: all receipts in a table; any loss is a failure.
check_receipts() {
	headline "every change of function, by its receipt"
	raio swap list -o json >"$dir/swaps" || fail "cannot read the receipts"
	jq -r --argjson after 0 -f devtools/demo/receipts.jq "$dir/swaps" >"$dir/all"
	total=0
	while read -r number lost text; do
		row "${text%%,*}" "${text#*, }"
		total=$((total + lost))
	done <"$dir/all"
	[ "$(wc -l <"$dir/all")" -ge "$1" ] || fail "$1 changes of function were due; see above for those that were"
	[ $total = 0 ] || fail "$total packets were lost at changes of function"
}

# The whole of the demo in one picture.
picture() {
	headline "bits a second by port over time, a column a second (log scale, | is a swap)"
	jq -r -s --arg levels "$levels" -f devtools/demo/history.jq "$dir/readings" 2>/dev/null || true
}

# p1 sends all to port 1, p2 all to port 0: one program, two sets of rules.
create_experiment() {
	echo 'toward 0 = 1' >"$dir/p1.rules"
	echo 'toward 0 = 0' >"$dir/p2.rules"
	create p1 devtools/demo/toward.c --rules "$dir/p1.rules"
	create p2 devtools/demo/toward.c --rules "$dir/p2.rules"
}

queue_experiment() {
	queue p1 5
	p1=$run
	queue p2 5
	p2=$run
}

# The time of the hand-over, with four decimals.
handover() {
	printf '%.4f' "$(jq .handover_s "$dir/experiment")"
}
