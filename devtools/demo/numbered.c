// SPDX-License-Identifier: Apache-2.0
// Numbered packets at a constant rate from some hosts, looked for at others: what the demo's
// experiment counts losses with. Prints one JSON object: sent, received, lost (numbers missing
// between the first and the last that arrived), reordered, the time of the hand-over from the first
// receiver to the second, series by port.
//
//	numbered RATE SECONDS FROM-NAMESPACE FIRST-NAMESPACE SECOND-NAMESPACE
//
// Each namespace's interface is eth0. Ends early on SIGTERM. Seconds count from the first packet
// that arrived.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>

#define PROTOCOL  0x88b5 // IEEE 802: for local experiments
#define NS_PER_S  UINT64_C(1000000000)
#define SLICES    4 // of a second, in the series
#define SLICE_MAX 4096
#define BURST     32 // at most so many at once when behind the schedule

struct frame {
	struct ethhdr ethernet;
	uint32_t run;
	uint64_t number;
	uint8_t rest[64];
} __attribute__((packed));

struct receiver {
	int fd;
	uint64_t received, reordered, next, first, first_ns, last_ns;
	uint64_t slice[SLICE_MAX];
};

struct experiment {
	struct receiver at[2];
	int send_fd;
	uint32_t run;
	uint64_t sent, least, most, start_ns;
};

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void die(const char *what, const char *where)
{
	fprintf(stderr, "numbered: %s %s: %s\n", what, where, strerror(errno));
	exit(1);
}

// A packet socket at eth0 of a namespace.
static int open_at(const char *namespace, bool receives)
{
	char path[256];
	snprintf(path, sizeof(path), "/run/netns/%s", namespace);
	int net = open(path, O_RDONLY | O_CLOEXEC);
	if (net < 0 || setns(net, CLONE_NEWNET))
		die("cannot enter namespace", namespace);
	close(net);
	struct sockaddr_ll link = {
	        .sll_family = AF_PACKET,
	        .sll_protocol = htons(receives ? PROTOCOL : 0),
	        .sll_ifindex = (int)if_nametoindex("eth0"),
	};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&link, sizeof(link)))
		die("cannot open eth0 of", namespace);
	int size = 32 << 20, own = 1;
	setsockopt(fd, SOL_SOCKET, receives ? SO_RCVBUFFORCE : SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &own, sizeof(own));
	return fd;
}

static void receive(struct experiment *experiment, struct receiver *receiver)
{
	struct frame frame;
	ssize_t length;
	while ((length = recv(receiver->fd, &frame, sizeof(frame), 0)) > 0) {
		if (length < (ssize_t)offsetof(struct frame, rest) || frame.run != experiment->run)
			continue;
		uint64_t now = now_ns();
		if (!experiment->start_ns) {
			experiment->start_ns = now;
			experiment->least = frame.number;
		}
		if (!receiver->received++) {
			receiver->first_ns = now;
			receiver->first = frame.number;
		}
		receiver->last_ns = now;
		receiver->reordered += frame.number < receiver->next;
		receiver->next = frame.number + 1;
		if (frame.number > experiment->most)
			experiment->most = frame.number;
		uint64_t slice = (now - experiment->start_ns) * SLICES / NS_PER_S;
		if (slice < SLICE_MAX)
			receiver->slice[slice]++;
	}
}

static void run(struct experiment *experiment, uint64_t rate, double seconds)
{
	struct frame frame = {.run = experiment->run};
	memset(frame.ethernet.h_dest, 0xff, ETH_ALEN);
	memcpy(frame.ethernet.h_source, "\x02\x00\x00\x00\x00\x77", ETH_ALEN);
	frame.ethernet.h_proto = htons(PROTOCOL);
	uint64_t gap = NS_PER_S / rate, next = now_ns();
	uint64_t end = next + (uint64_t)(seconds * (double)NS_PER_S);
	while (!stop && next < end) {
		uint64_t now = now_ns();
		if (now > next + BURST * gap)
			next = now - BURST * gap;
		for (; next <= now; next += gap) {
			frame.number = experiment->sent;
			if (send(experiment->send_fd, &frame, sizeof(frame), 0) ==
			        (ssize_t)sizeof(frame))
				experiment->sent++;
		}
		struct pollfd fds[2] = {{.fd = experiment->at[0].fd, .events = POLLIN},
		        {.fd = experiment->at[1].fd, .events = POLLIN}};
		struct timespec wait = {.tv_nsec = (long)gap};
		ppoll(fds, 2, &wait, NULL);
		receive(experiment, &experiment->at[0]);
		receive(experiment, &experiment->at[1]);
	}
	nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL); // what is on its way
	receive(experiment, &experiment->at[0]);
	receive(experiment, &experiment->at[1]);
}

static double seconds_since(const struct experiment *experiment, uint64_t ns)
{
	return ns ? (double)(int64_t)(ns - experiment->start_ns) / (double)NS_PER_S : 0;
}

static void print_series(const struct receiver *receiver, uint64_t slices)
{
	printf("[");
	for (uint64_t i = 0; i < slices; i++)
		printf("%s%" PRIu64, i ? "," : "", receiver->slice[i] * SLICES);
	printf("]");
}

static void print(const struct experiment *experiment)
{
	const struct receiver *first = &experiment->at[0], *second = &experiment->at[1];
	uint64_t received = first->received + second->received;
	uint64_t span = received ? experiment->most - experiment->least + 1 : 0;
	int64_t at_handover = second->received ? (int64_t)(second->first - first->next) : 0;
	uint64_t last = second->received ? second->last_ns : first->last_ns;
	uint64_t slices = received ? (last - experiment->start_ns) * SLICES / NS_PER_S + 1 : 0;
	if (slices > SLICE_MAX)
		slices = SLICE_MAX;
	printf("{\"sent\":%" PRIu64 ",\"first\":%" PRIu64 ",\"second\":%" PRIu64
	       ",\"lost\":%" PRId64 ",\"lost_at_handover\":%" PRId64 ",\"reordered\":%" PRIu64
	       ",\"handover_s\":%.4f,\"gap_us\":%.1f,\"slices\":%d,\"series\":[",
	        experiment->sent, first->received, second->received, (int64_t)(span - received),
	        at_handover, first->reordered + second->reordered,
	        seconds_since(experiment, second->first_ns),
	        second->received ? (double)(int64_t)(second->first_ns - first->last_ns) / 1e3 : 0,
	        SLICES);
	print_series(first, slices);
	printf(",");
	print_series(second, slices);
	printf("]}\n");
}

int main(int count, char **arguments)
{
	static struct experiment experiment;
	uint64_t rate = count == 6 ? strtoull(arguments[1], NULL, 10) : 0;
	if (!rate || rate > NS_PER_S) {
		fprintf(stderr, "usage: numbered RATE SECONDS FROM FIRST SECOND\n");
		return 2;
	}
	signal(SIGTERM, on_signal);
	experiment.send_fd = open_at(arguments[3], false);
	for (int i = 0; i < 2; i++)
		experiment.at[i].fd = open_at(arguments[4 + i], true);
	experiment.run = (uint32_t)getpid();
	run(&experiment, rate, strtod(arguments[2], NULL));
	print(&experiment);
	return 0;
}
