// SPDX-License-Identifier: Apache-2.0
// DPDK keeps its state in the process, so that what belongs to it stands here as statics, all under
// one lock.
//
// It is told to leave the machine alone: no files and no sockets for other processes, no telemetry,
// no device but those that are asked for by name, no thread but the one that waits for interrupts
// and alarms. Huge pages are used where the machine has free ones.
#include "port/dpdk_eal.h"

#include <errno.h>
#include <glob.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/log.h"
#include "port/dpdk_frames.h"

// Of normal pages; they are memory when they are touched.
#define NORMAL_MIB "512"
// An address that no device has: with a list of the devices that are allowed, no other is taken.
#define NO_DEVICE "ffff:00:00.0"

static struct {
	pthread_mutex_t lock;
	bool tried;
	int status; // of the start
	pthread_key_t joined;
	pthread_mutex_t said_lock; // DPDK's own threads log too
	char said[256], line[256]; // its first complaint; the line that is being written
	size_t line_size;
} eal = {.lock = PTHREAD_MUTEX_INITIALIZER, .said_lock = PTHREAD_MUTEX_INITIALIZER};

// One whole line of DPDK's log, "EAL: Cannot find device".
static void take_line(void)
{
	eal.line[eal.line_size] = '\0';
	bool is_empty = !eal.line_size;
	eal.line_size = 0;
	// A driver that could serve other processes says that it cannot: they are switched off.
	if (is_empty || strstr(eal.line, "mp action"))
		return;
	if (!*eal.said)
		memcpy(eal.said, eal.line, sizeof(eal.said));
	log_warning("dpdk: %s", eal.line);
}

static ssize_t take_log(void *cookie, const char *text, size_t size)
{
	(void)cookie;
	pthread_mutex_lock(&eal.said_lock);
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '\n')
			take_line();
		else if (eal.line_size < sizeof(eal.line) - 1)
			eal.line[eal.line_size++] = text[i];
	}
	pthread_mutex_unlock(&eal.said_lock);
	return (ssize_t)size;
}

static void divert_log(void)
{
	FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = take_log});
	if (!stream)
		return;
	setvbuf(stream, NULL, _IOLBF, 0);
	rte_openlog_stream(stream);
	rte_log_set_global_level(RTE_LOG_WARNING);
}

int dpdk_error(struct error *err, int code, const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	pthread_mutex_lock(&eal.said_lock);
	int status = *eal.said ? error_set(err, code, "%s (DPDK says: %s)", text, eal.said)
	                       : error_set(err, code, "%s", text);
	pthread_mutex_unlock(&eal.said_lock);
	return status;
}

static bool has_huge_pages(void)
{
	glob_t found;
	bool has = false;
	if (glob("/sys/kernel/mm/hugepages/*/free_hugepages", 0, NULL, &found))
		return false;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		unsigned long pages = 0;
		autofclose FILE *file = fopen(found.gl_pathv[i], "r");
		if (file && fscanf(file, "%lu", &pages) == 1 && pages)
			has = true;
	}
	globfree(&found);
	return has;
}

static int first_cpu(const cpu_set_t *cpus)
{
	int cpu = 0;
	while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, cpus))
		cpu++;
	return cpu;
}

// rte_eal_init() parses these as a command line; it may reorder them.
static int init(const cpu_set_t *cpus)
{
	char lcore[32], prefix[32];
	snprintf(lcore, sizeof(lcore), "0@%d", first_cpu(cpus));
	snprintf(prefix, sizeof(prefix), "raio-%d", (int)getpid());
	const char *const with_huge[] = {"--in-memory"};
	const char *const without[] = {"--no-huge", "--no-shconf", "-m", NORMAL_MIB};
	const char *const always[] = {"--no-telemetry", "--iova-mode=va", "--lcores", lcore,
	        "--file-prefix", prefix, "-a", NO_DEVICE};
	char *arguments[16] = {(char *)"raio"};
	int count = 1;
	bool huge = has_huge_pages();
	for (size_t i = 0; i < (huge ? ARRAY_SIZE(with_huge) : ARRAY_SIZE(without)); i++)
		arguments[count++] = (char *)(huge ? with_huge[i] : without[i]);
	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		arguments[count++] = (char *)always[i];
	return rte_eal_init(count, arguments) < 0 ? -rte_errno : 0;
}

// The directory that DPDK makes whether it puts something there or not; its parent goes unless
// others use it.
static void remove_directory(void)
{
	char path[256];
	snprintf(path, sizeof(path), "%s", rte_eal_get_runtime_dir());
	rmdir(path);
	char *slash = strrchr(path, '/');
	if (slash) {
		*slash = '\0';
		rmdir(path);
	}
}

static void leave(void *unused)
{
	(void)unused;
	rte_thread_unregister();
}

static void start(void)
{
	cpu_set_t cpus;
	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	divert_log();
	eal.status = init(&cpus);
	// DPDK ties the thread that starts it to a CPU.
	sched_setaffinity(0, sizeof(cpus), &cpus);
	if (eal.status)
		return;
	remove_directory();
	rte_mp_disable(); // else threads cannot join
	eal.status = dpdk_frames_register();
	if (!eal.status)
		eal.status = -pthread_key_create(&eal.joined, leave);
}

void dpdk_listen(void)
{
	pthread_mutex_lock(&eal.said_lock);
	*eal.said = '\0';
	pthread_mutex_unlock(&eal.said_lock);
}

int dpdk_begin(struct error *err)
{
	pthread_mutex_lock(&eal.lock);
	dpdk_listen();
	if (!eal.tried)
		start();
	eal.tried = true;
	if (!eal.status)
		return 0;
	int status = dpdk_error(err, EIO,
	        "DPDK does not start here: %s; `dpdk-testpmd --no-huge --no-pci` tells more",
	        strerror(-eal.status));
	pthread_mutex_unlock(&eal.lock);
	return status;
}

void dpdk_end(void)
{
	pthread_mutex_unlock(&eal.lock);
}

void dpdk_join(void)
{
	if (rte_thread_register() == 0)
		pthread_setspecific(eal.joined, &eal);
}
