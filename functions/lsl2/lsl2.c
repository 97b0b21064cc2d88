// SPDX-License-Identifier: Apache-2.0
// lsl2: a learning layer-2 switch (IEEE 802.1D, independent learning for each VLAN of 802.1Q). It
// learns which port a source address came by, sends to the port that the destination was learnt on,
// floods what it does not know, and forgets an address that it has not heard of for a while.
#include <raio/raio.h>

#include <linux/if_ether.h>

#define AGEING_DEFAULT_S 300           // 802.1D-2004, table 7-5
#define REFRESH_NS       1000000000ull // a known address is written again at most once a second
#define NS_PER_S         1000000000ull
#define VLAN_ID_MASK     0x0fff

struct station {
	__u8 mac[ETH_ALEN];
	__u16 vlan; // 0 = untagged
};

struct place {
	__u32 port;
	__u32 moves;   // times it was heard on another port than before
	__u64 seen_ns; // clock of bpf_ktime_get_ns()
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct station);
	__type(value, struct place);
} stations SEC(".maps");

struct settings {
	__u32 ageing_s; // 0 = AGEING_DEFAULT_S
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings SEC(".maps");

// By received port.
struct counters {
	__u64 forwarded, flooded, learned, moved;
	__u64 filtered; // destination on the port it came by
	__u64 refused;  // malformed, reserved group address, or a group address as source
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, RAIO_PORTS_MAX);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

struct vlan_header {
	__be16 tci, protocol;
};

static __always_inline void learn(
        const struct station *source, __u32 port, __u64 now_ns, struct counters *count)
{
	struct place *known = bpf_map_lookup_elem(&stations, source);
	if (known && known->port == port) {
		if (now_ns - known->seen_ns > REFRESH_NS)
			known->seen_ns = now_ns;
		return;
	}
	struct place place = {.port = port, .seen_ns = now_ns};
	if (known) {
		place.moves = known->moves + 1;
		count->moved++;
	} else {
		count->learned++;
	}
	bpf_map_update_elem(&stations, source, &place, BPF_ANY);
}

SEC("xdp")
int lsl2(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 port = raio_port(ctx), zero = 0;
	struct counters *count = bpf_map_lookup_elem(&counters, &port);
	if (!count)
		return XDP_ABORTED;
	struct ethhdr *eth = data;
	if ((void *)(eth + 1) > end)
		goto refuse;
	struct station station = {};
	if (eth->h_proto == bpf_htons(ETH_P_8021Q) || eth->h_proto == bpf_htons(ETH_P_8021AD)) {
		struct vlan_header *vlan = (void *)(eth + 1);
		if ((void *)(vlan + 1) > end)
			goto refuse;
		station.vlan = bpf_ntohs(vlan->tci) & VLAN_ID_MASK;
	}
	// 01-80-C2-00-00-0x belongs to the link alone: 802.1D-2004, 7.12.6.
	if (eth->h_dest[0] == 0x01 && eth->h_dest[1] == 0x80 && eth->h_dest[2] == 0xc2 &&
	        eth->h_dest[3] == 0 && eth->h_dest[4] == 0 && eth->h_dest[5] < 0x10)
		goto refuse;
	if (eth->h_source[0] & 1)
		goto refuse;

	__u64 now_ns = raio_arrival_ns(ctx);
	__builtin_memcpy(station.mac, eth->h_source, ETH_ALEN);
	learn(&station, port, now_ns, count);

	if (eth->h_dest[0] & 1)
		goto flood;
	__builtin_memcpy(station.mac, eth->h_dest, ETH_ALEN);
	struct place *to = bpf_map_lookup_elem(&stations, &station);
	if (!to)
		goto flood;
	struct settings *set = bpf_map_lookup_elem(&settings, &zero);
	__u64 ageing_s = set && set->ageing_s ? set->ageing_s : AGEING_DEFAULT_S;
	__u64 seen_ns = to->seen_ns;
	// Another engine may have heard the station after this packet arrived.
	if (now_ns > seen_ns && now_ns - seen_ns > ageing_s * NS_PER_S) {
		bpf_map_delete_elem(&stations, &station);
		goto flood;
	}
	if (to->port == port) {
		count->filtered++;
		return XDP_DROP;
	}
	count->forwarded++;
	return bpf_redirect_map(&raio_ports, to->port, XDP_DROP);

flood:
	count->flooded++;
	return bpf_redirect_map(&raio_ports, 0, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);

refuse:
	count->refused++;
	return XDP_DROP;
}

char _license[] SEC("license") = "Apache-2.0";
