// SPDX-License-Identifier: Apache-2.0
// Captures: packets come from one file and go to another. libpcap reads pcap and pcapng; what
// leaves is written as pcap with nanosecond stamps of the wall clock, taken once a burst.
//
// Both files are opened at open(), so that the card may drop its privileges then. A damaged or cut
// capture ends the input, and describe() says where and why; what stands before the damage is used.
#include <pcap/pcap.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "port/driver.h"
#include "port/options.h"

#define GAP_MAX_NS (365ull * 86400 * NS_PER_S) // a stamp further on is taken for damage

struct pcap_config {
	char in[OPTION_TEXT_MAX], out[OPTION_TEXT_MAX];
	uint64_t loop; // times; 0 = for ever
	uint64_t paced;
};

struct pcap_driver {
	struct pcap_config config;
	int in_fd;         // kept so that the capture can be read again
	pcap_t *in, *form; // form: the shape of what is written
	pcap_dumper_t *out;
	struct pcap_pkthdr
	        *header; // read and not yet due; the data is libpcap's until the next read
	const u_char *data;
	uint64_t read, cut, rounds;
	uint64_t began_ns, due_ns;        // of this round; of the pending packet
	uint64_t first_stamp_ns, last_ns; // of the capture
	bool ended, unflushed;
	char trouble[128]; // what ended the input early
	int write_error;   // what ended the output; 0 = none
};

static int parse_pace(const char *value, void *member)
{
	if (strcmp(value, "capture") == 0)
		*(uint64_t *)member = 1;
	else if (strcmp(value, "fast") == 0)
		*(uint64_t *)member = 0;
	else
		return -EINVAL;
	return 0;
}

#define AT(member) offsetof(struct pcap_config, member)
static const struct option options[] = {
        {"in", OPTION_TEXT, AT(in), .help = "a file name of less than 1024 bytes"},
        {"out", OPTION_TEXT, AT(out), .help = "a file name of less than 1024 bytes"},
        {"loop", OPTION_NUMBER, AT(loop), .min = 0, .max = UINT32_MAX,
                .help = "a number of times (0: for ever)"},
        {"pace", OPTION_CUSTOM, AT(paced), .parse = parse_pace, .help = "“capture” or “fast”"},
};

static const struct option_table table = {
        .kind = "pcap",
        .example = "pcap:in.pcap,out.pcap,loop=2",
        .options = options,
        .count = ARRAY_SIZE(options),
        .positional = 2,
};

// Reads the input file from its start; libpcap gets a descriptor of its own, which it closes.
static int open_round(struct pcap_driver *driver, char text[PCAP_ERRBUF_SIZE])
{
	int fd = dup(driver->in_fd);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "rb");
	if (!file) {
		snprintf(text, PCAP_ERRBUF_SIZE, "%s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return -EIO;
	}
	if (driver->rounds)
		rewind(file);
	driver->in =
	        pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, text);
	if (!driver->in) {
		fclose(file);
		return -EINVAL;
	}
	driver->first_stamp_ns = UINT64_MAX;
	driver->began_ns = driver->last_ns = clock_ns();
	return 0;
}

static int open_input(struct pcap_driver *driver, struct error *err)
{
	const char *name = driver->config.in;
	char text[PCAP_ERRBUF_SIZE] = "";
	struct stat status;
	driver->in_fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (driver->in_fd < 0 || fstat(driver->in_fd, &status) < 0)
		return error_set(err, errno, "%s: %s", name, strerror(errno));
	if (!S_ISREG(status.st_mode))
		return error_set(
		        err, EINVAL, "%s: not a regular file; captures are read from files", name);
	if (open_round(driver, text))
		return error_set(
		        err, EINVAL, "%s: not a capture that libpcap reads: %s", name, text);
	int link = pcap_datalink(driver->in);
	if (link != DLT_EN10MB) {
		const char *kind = pcap_datalink_val_to_name(link);
		return error_set(err, EINVAL,
		        "%s: link type %s (%d), but ports carry Ethernet frames: use a capture of "
		        "an "
		        "Ethernet interface",
		        name, kind ? kind : "unknown", link);
	}
	return 0;
}

static int open_output(struct pcap_driver *driver, struct error *err)
{
	const char *name = driver->config.out;
	struct stat in, out;
	if (driver->in_fd >= 0 && fstat(driver->in_fd, &in) == 0 && stat(name, &out) == 0 &&
	        in.st_dev == out.st_dev && in.st_ino == out.st_ino)
		return error_set(err, EINVAL, "%s: input and output are the same file", name);
	autoclose int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0644);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "wb");
	if (!file)
		return error_set(err, errno, "%s: %s", name, strerror(errno));
	fd = -1;
	driver->form = pcap_open_dead_with_tstamp_precision(
	        DLT_EN10MB, FRAME_SIZE, PCAP_TSTAMP_PRECISION_NANO);
	driver->out = driver->form ? pcap_dump_fopen(driver->form, file) : NULL;
	if (!driver->out) {
		fclose(file);
		return error_set(err, EIO, "%s: %s", name,
		        driver->form ? pcap_geterr(driver->form) : "out of memory");
	}
	return 0;
}

static void port_pcap_close(struct port *port)
{
	struct pcap_driver *driver = port->driver;
	if (driver->in)
		pcap_close(driver->in);
	if (driver->out)
		pcap_dump_close(driver->out);
	if (driver->form)
		pcap_close(driver->form);
	if (driver->in_fd >= 0)
		close(driver->in_fd);
	free(driver);
}

static int port_pcap_open(struct port *port, const char *spec, struct error *err)
{
	struct pcap_driver *driver = calloc(1, sizeof(*driver));
	if (!driver)
		return error_set(err, ENOMEM, "out of memory");
	driver->in_fd = -1;
	driver->config.loop = 1;
	port->driver = driver;
	int status = options_parse(&table, spec, &driver->config, err);
	if (!status && !*driver->config.in && !*driver->config.out)
		status = error_set(
		        err, EINVAL, "neither input nor output: pcap:IN,OUT needs one of them");
	if (!status && *driver->config.in)
		status = open_input(driver, err);
	if (!status && *driver->config.out)
		status = open_output(driver, err);
	if (status) {
		port_pcap_close(port);
		return status;
	}
	driver->ended = !*driver->config.in;
	return 0;
}

static void end_input(struct pcap_driver *driver, const char *why)
{
	driver->ended = true;
	if (why)
		snprintf(driver->trouble, sizeof(driver->trouble), "after packet %" PRIu64 ": %s",
		        driver->read, why);
	pcap_close(driver->in);
	driver->in = NULL;
}

// At the end of the file: begins the next round, or ends.
static void next_round(struct pcap_driver *driver, bool empty)
{
	char text[PCAP_ERRBUF_SIZE] = "";
	if (++driver->rounds == driver->config.loop || empty) {
		end_input(driver, NULL);
		return;
	}
	pcap_close(driver->in);
	driver->in = NULL;
	if (open_round(driver, text)) {
		driver->ended = true;
		snprintf(driver->trouble, sizeof(driver->trouble), "cannot read it again: %.100s",
		        text);
	}
}

// The pending packet's stamp decides when it is due. Stamps that go back mean "now".
static void schedule(struct pcap_driver *driver)
{
	const struct timeval *stamp = &driver->header->ts; // tv_usec holds nanoseconds
	uint64_t ns = (uint64_t)stamp->tv_sec * NS_PER_S + (uint64_t)stamp->tv_usec;
	if (driver->first_stamp_ns == UINT64_MAX)
		driver->first_stamp_ns = ns;
	uint64_t gap_ns = ns > driver->first_stamp_ns ? ns - driver->first_stamp_ns : 0;
	driver->due_ns = driver->began_ns + (gap_ns <= GAP_MAX_NS ? gap_ns : 0);
	if (driver->due_ns < driver->last_ns)
		driver->due_ns = driver->last_ns;
	driver->last_ns = driver->due_ns;
}

// Makes a packet pending if there is one left. Returns whether there is.
static bool read_ahead(struct pcap_driver *driver)
{
	while (!driver->header && !driver->ended) {
		bool fresh = driver->first_stamp_ns == UINT64_MAX;
		int status = pcap_next_ex(driver->in, &driver->header, &driver->data);
		if (status == 1) {
			driver->read++;
			schedule(driver);
			return true;
		}
		driver->header = NULL;
		if (status == PCAP_ERROR_BREAK)
			next_round(driver, fresh);
		else
			end_input(driver, pcap_geterr(driver->in));
	}
	return driver->header;
}

// Copies the pending packet into a frame. Returns whether it is one that the card takes.
static bool take_pending(struct port *port, struct packet *packet, uint64_t now_ns)
{
	struct pcap_driver *driver = port->driver;
	uint32_t size = driver->header->caplen;
	driver->cut += size < driver->header->len;
	driver->header = NULL;
	if (size > PACKET_MAX || size < ETHERNET_MIN) {
		count(size > PACKET_MAX ? &port->stats.rx_oversize : &port->stats.rx_runt, 1);
		return false;
	}
	memcpy(packet_data(port->base, packet), driver->data, size);
	packet->end = (uint16_t)(packet->data + size);
	packet->port = port->number;
	packet->arrival_ns = now_ns;
	count(&port->stats.rx_packets, 1);
	count(&port->stats.rx_bytes, size);
	return true;
}

static uint32_t port_pcap_receive(struct port *port, struct packet *packets, uint32_t max)
{
	struct pcap_driver *driver = port->driver;
	if (!read_ahead(driver))
		return 0;
	uint64_t now_ns = clock_ns();
	if (driver->config.paced && driver->due_ns > now_ns)
		return 0;
	uint32_t n = frames_take(port->memory, packets, max), made = 0;
	uint32_t tries = 2 * n; // a capture of nothing but giants, for ever, must not hold us
	while (made < n && tries-- && read_ahead(driver) &&
	        (!driver->config.paced || driver->due_ns <= now_ns))
		made += take_pending(port, &packets[made], now_ns);
	if (made < n)
		frames_give(port->memory, packets + made, n - made);
	return made;
}

static void write_packet(struct port *port, const struct packet *packet, uint64_t wall_ns)
{
	struct pcap_driver *driver = port->driver;
	uint32_t size = packet_size(packet);
	struct pcap_pkthdr header = {
	        .ts = {.tv_sec = (time_t)(wall_ns / NS_PER_S),
	                .tv_usec = (long)(wall_ns % NS_PER_S)},
	        .caplen = size,
	        .len = size,
	};
	if (driver->out && !driver->write_error) {
		pcap_dump((u_char *)driver->out, &header, packet_data(port->base, packet));
		if (ferror(pcap_dump_file(driver->out)))
			driver->write_error = errno ? errno : EIO;
		driver->unflushed = true;
	}
	bool sent = !driver->write_error;
	count(sent ? &port->stats.tx_packets : &port->stats.tx_dropped, 1);
	count(&port->stats.tx_bytes, sent ? size : 0);
}

static uint32_t port_pcap_transmit(struct port *port, const struct packet *packets, uint32_t n)
{
	uint64_t wall_ns = clock_wall_ns();
	for (uint32_t i = 0; i < n; i++)
		if (packet_size(&packets[i]) < ETHERNET_MIN)
			count(&port->stats.tx_dropped, 1);
		else
			write_packet(port, &packets[i], wall_ns);
	frames_give(port->memory, packets, n);
	return n;
}

// The file is complete up to here when the card has nothing to do, or somebody waits for what was
// sent.
static void write_out(struct pcap_driver *driver)
{
	if (!driver->unflushed || driver->write_error)
		return;
	if (pcap_dump_flush(driver->out) < 0)
		driver->write_error = errno ? errno : EIO;
	driver->unflushed = false;
}

static uint32_t port_pcap_poll_fds(struct port *port, int fds[2])
{
	(void)fds;
	write_out(port->driver);
	return 0;
}

static bool port_pcap_drained(struct port *port)
{
	write_out(port->driver);
	return true;
}

static uint64_t port_pcap_next_ns(struct port *port)
{
	struct pcap_driver *driver = port->driver;
	if (!read_ahead(driver))
		return UINT64_MAX;
	return driver->config.paced ? driver->due_ns : 0;
}

static bool port_pcap_finished(struct port *port)
{
	const struct pcap_driver *driver = port->driver;
	return driver->ended && !driver->header;
}

static void port_pcap_describe(struct port *port, char *text, uint32_t size)
{
	const struct pcap_driver *driver = port->driver;
	const struct pcap_config *config = &driver->config;
	char loop[32] = "", cut[64] = "", wrong[192] = "", out[64] = "";
	if (config->loop == 0)
		snprintf(loop, sizeof(loop), ", again and again");
	else if (config->loop > 1)
		snprintf(loop, sizeof(loop), ", %" PRIu64 " times", config->loop);
	if (driver->cut)
		snprintf(cut, sizeof(cut), ", %" PRIu64 " cut short by the capture", driver->cut);
	if (*driver->trouble)
		snprintf(wrong, sizeof(wrong), "; input ended %s", driver->trouble);
	if (driver->write_error)
		snprintf(out, sizeof(out), "; stopped writing: %.40s",
		        strerror(driver->write_error));
	snprintf(text, size, "pcap %.48s to %.48s, %s%s%s%s%s",
	        *config->in ? config->in : "nothing", *config->out ? config->out : "nowhere",
	        config->paced ? "at the capture's pace" : "as fast as possible", loop, cut, wrong,
	        out);
}

const struct port_ops pcap_port = {
        .kind = "pcap",
        .open = port_pcap_open,
        .close = port_pcap_close,
        .receive = port_pcap_receive,
        .transmit = port_pcap_transmit,
        .poll_fds = port_pcap_poll_fds,
        .next_ns = port_pcap_next_ns,
        .finished = port_pcap_finished,
        .drained = port_pcap_drained,
        .describe = port_pcap_describe,
};
