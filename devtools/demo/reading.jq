# SPDX-License-Identifier: Apache-2.0
# One line for each reading of `raio top -o json --watch`: function, then bits a second in and out by port.
def human:
	if . >= 999.5e6 then "\(. / 1e7 | round / 100)G"
	elif . >= 999.5e3 then "\(. / 1e5 | round / 10)M"
	elif . >= 999.5 then "\(. / 1e3 | round)k"
	else "\(round)" end;
def left($n): . + " " * ([$n - length, 0] | max);
def right($n): " " * ([$n - length, 0] | max) + .;
(if .swapped then "swap" else empty end),
([.ports[0].function | left(7)] +
 [.ports[] | (.received_bps | human | right(6)) + " > " + (.sent_bps | human | left(6))] | join("  "))
