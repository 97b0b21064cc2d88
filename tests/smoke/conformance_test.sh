#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# raio-conformance, as the field's runner drives it: program and memory in hex, R0 in hex, on each engine.
set -euo pipefail
build=$1
said=$(mktemp)
trap 'rm -f "$said"' EXIT
run() { "$build/raio-conformance" "$@"; }
fail() {
	echo "$*" >&2
	exit 1
}
# r0 = *(u32 *)(r1 + 0); exit
load='61 10 00 00 00 00 00 00 95 00 00 00 00 00 00 00'
for engine in interpreter native; do
	got=$(echo "$load" | run '11 22 33 44' --engine $engine) || fail "$engine: a load fails"
	[ "$got" = 44332211 ] || fail "$engine: r0 is $got"
	if echo "$load" | run '11 22 33' --engine=$engine 2>"$said"; then
		fail "$engine: a load over the end of memory comes back"
	fi
	grep -q 'read outside every window' "$said" || fail "$engine: no reason given"
	# a reserved field that is not zero: exit with an immediate
	if echo '95 00 00 00 01 00 00 00' | run --engine $engine 2>/dev/null; then
		fail "$engine: a reserved field may be anything"
	fi
done
if echo "$load" | run --engine none 2>/dev/null; then
	fail "an engine that there is not runs"
fi
echo "raio-conformance: both engines answer"
