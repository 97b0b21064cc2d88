# SPDX-License-Identifier: Apache-2.0
# A picture of all readings (`jq -s`): a row a port, bits a second from the port's side out; | is a swap.
# $levels: the characters of a bar, the empty one first.
def level($n): if . < 1000 then 0 else (((log10 - 3) / 7 * ($n - 1)) | ceil) as $l |
	[[1, $l] | max, $n - 1] | min end;
def bar: ($levels | explode) as $c | [$c[level($c | length)]] | implode;
def fit($n): .[0:$n] + " " * ([$n - length, 0] | max);
. as $all |
# Runs of readings between swaps: [from, to).
([0] + [range(1; length) | select($all[.].swapped)] + [length]) as $cut |
[range(($cut | length) - 1) | {from: $cut[.], to: $cut[. + 1]}] as $parts |
def row(f): [$parts[] | [range(.from; .to) | $all[.] | f] | join("")] | join("|");
"  function      " + ([$parts[] | . as $p |
	$all[([$p.from, $p.to - 1] | max)].ports[0].function | fit($p.to - $p.from)] | join("|")),
(range($all[0].ports | length) as $i |
	"  port \($i) in     " + row(.ports[$i].received_bps | bar),
	"         out    " + row(.ports[$i].sent_bps | bar))
