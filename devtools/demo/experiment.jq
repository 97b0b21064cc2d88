# SPDX-License-Identifier: Apache-2.0
# The picture of the paper's figure 7 from what `numbered` prints: packets a second at two hosts over time.
def bar($most): ($levels | explode) as $c | ($c | length - 1) as $n |
	[$c[if . == 0 then 0 else ([. / $most * $n | round, 1] | max) end]] | implode;
(.series | flatten | max) as $most | (.at // (.handover_s * .slices | floor)) as $at |
def row: [range(length) as $i | (if $i == $at then "|" else "" end) + (.[$i] | bar($most))] | join("");
"  to port 1  " + (.series[0] | row),
"  to port 0  " + (.series[1] | row),
"             " + "0 s" + " " * ([$at - 3, 0] | max) + "|"
