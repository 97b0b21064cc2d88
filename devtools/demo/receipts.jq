# SPDX-License-Identifier: Apache-2.0
# The receipts of `raio swap list -o json` after number $after, oldest first: number, packets lost, text.
def time:
	if . >= 1e6 then "\(. / 1e4 | round / 100) ms" else "\(. / 1e2 | round / 10) us" end;
def name: .function // "pass";
sort_by(.sequence)[] | select(.sequence > $after and (.ports | length) > 0) |
"\(.sequence) \(.lost) \(.old | name) -> \(.new | name), packets lost: \(.lost), gap \(.gap_ns | time), load \(.load_ms * 1e6 | time)"
