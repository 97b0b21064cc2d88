// SPDX-License-Identifier: Apache-2.0
// Builds records in place in a ring buffer; gives back those that turn out not to matter.
#include "parse.h"

struct event {
	__u16 type, size;
	__u8 head[28];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 17);
} events SEC(".maps");

__u64 full, waiting;

SEC("xdp")
int exporter(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		full++;
		return XDP_ABORTED;
	}
	event->size = (__u16)(end - data);
	if (data + sizeof(event->head) > end) {
		bpf_ringbuf_discard(event, 0);
		return XDP_DROP;
	}
	event->type = *(__u16 *)(data + 12);
	__builtin_memcpy(event->head, data, sizeof(event->head));
	bpf_ringbuf_submit(event, BPF_RB_NO_WAKEUP);
	waiting = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
	return XDP_PASS;
}
