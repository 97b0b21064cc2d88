// SPDX-License-Identifier: Apache-2.0
// What the soft card over AF_XDP is measured against: the least forwarder between two interfaces
// that one writes with libxdp, in the manner of the kernel's xdpsock. One umem shared by two
// sockets, copy mode, busy polling, bursts of 64, no look at the packets. l2fwd_baseline IFACE
// IFACE; ends at SIGTERM.
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <xdp/libxdp.h>
#include <xdp/xsk.h>

#define FRAMES 8192u
#define SIZE   2048u
#define RING   2048u
#define BURST  64u

struct side {
	struct xsk_ring_cons rx, completed;
	struct xsk_ring_prod tx, fill;
	struct xsk_socket *xsk;
	unsigned sending;
};

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	(void)signal;
	stop = 1;
}

static void check(int status, const char *what)
{
	if (status) {
		fprintf(stderr, "l2fwd_baseline: %s: %s\n", what, strerror(-status));
		exit(1);
	}
}

static void open_side(struct side *side, const char *name, struct xsk_umem *umem, unsigned first)
{
	const struct xsk_socket_config config = {
	        .rx_size = RING, .tx_size = RING, .bind_flags = XDP_COPY | XDP_USE_NEED_WAKEUP};
	unsigned at = 0;
	check(xsk_socket__create_shared(&side->xsk, name, 0, umem, &side->rx, &side->tx,
	              &side->fill, &side->completed, &config),
	        name);
	xsk_ring_prod__reserve(&side->fill, RING, &at);
	for (unsigned i = 0; i < RING; i++)
		*xsk_ring_prod__fill_addr(&side->fill, at + i) = (uint64_t)(first + i) * SIZE;
	xsk_ring_prod__submit(&side->fill, RING);
}

// What `to` has sent goes back to the ring that `from` is filled by.
static void complete(struct side *to, struct side *from)
{
	unsigned done, at = 0, fill = 0;
	if (!to->sending)
		return;
	sendto(xsk_socket__fd(to->xsk), NULL, 0, MSG_DONTWAIT, NULL, 0);
	unsigned most = to->sending < BURST ? to->sending : BURST;
	done = xsk_ring_cons__peek(&to->completed, most, &at);
	if (!done)
		return;
	while (xsk_ring_prod__reserve(&from->fill, done, &fill) != done && !stop)
		;
	for (unsigned i = 0; i < done; i++)
		*xsk_ring_prod__fill_addr(&from->fill, fill + i) =
		        *xsk_ring_cons__comp_addr(&to->completed, at + i) & ~(uint64_t)(SIZE - 1);
	xsk_ring_prod__submit(&from->fill, done);
	xsk_ring_cons__release(&to->completed, done);
	to->sending -= done;
}

static void forward(struct side *from, struct side *to)
{
	unsigned at = 0, out = 0;
	complete(to, from);
	unsigned n = xsk_ring_cons__peek(&from->rx, BURST, &at);
	if (!n)
		return;
	while (xsk_ring_prod__reserve(&to->tx, n, &out) != n && !stop)
		complete(to, from);
	for (unsigned i = 0; i < n; i++) {
		const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&from->rx, at + i);
		*xsk_ring_prod__tx_desc(&to->tx, out + i) =
		        (struct xdp_desc){.addr = desc->addr, .len = desc->len};
	}
	xsk_ring_prod__submit(&to->tx, n);
	xsk_ring_cons__release(&from->rx, n);
	to->sending += n;
}

int main(int argc, char **argv)
{
	static struct side sides[2];
	struct xsk_umem *umem;
	const struct xsk_umem_config config = {
	        .fill_size = RING, .comp_size = RING, .frame_size = SIZE};
	if (argc != 3) {
		fprintf(stderr, "usage: l2fwd_baseline IFACE IFACE\n");
		return 2;
	}
	signal(SIGTERM, on_signal);
	libxdp_set_print(NULL);
	libbpf_set_print(NULL);
	void *memory = mmap(
	        NULL, FRAMES * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(memory == MAP_FAILED ? -errno : 0, "mmap");
	check(xsk_umem__create(
	              &umem, memory, FRAMES * SIZE, &sides[0].fill, &sides[0].completed, &config),
	        "umem");
	open_side(&sides[0], argv[1], umem, 0);
	open_side(&sides[1], argv[2], umem, RING);
	while (!stop) {
		forward(&sides[0], &sides[1]);
		forward(&sides[1], &sides[0]);
	}
	xsk_socket__delete(sides[0].xsk);
	xsk_socket__delete(sides[1].xsk);
	xsk_umem__delete(umem);
	return 0;
}
