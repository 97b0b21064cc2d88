// SPDX-License-Identifier: Apache-2.0
// The routes that tell about the agent and its card.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/queue.h"
#include "agent/report.h"
#include "base/buffer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "card/card.h"

#define GENERATIONS_MAX 1024u

void handle_healthz(struct agent *agent, struct request *request)
{
	struct error err = {0};
	struct card_info info;
	if (!agent_has_card(agent, request))
		return;
	if (agent->card->ops->info(agent->card, &info, &err))
		agent_card_error(agent, request, &err);
	else
		request_reply_json(request, 200, json_pack("{s:s}", "status", "ok"));
}

static json_t *info_card(struct agent *agent)
{
	struct card_info info;
	char time[CLOCK_TEXT_SIZE];
	if (!agent->card || agent->card->ops->info(agent->card, &info, NULL))
		return json_null();
	return json_pack("{s:s,s:s,s:s,s:i,s:i,s:i}", "kind", info.kind, "version", info.version,
	        "started", clock_rfc3339(info.started_wall_ns, time), "ports", (int)info.port_count,
	        "workers", (int)info.worker_count, "pid", (int)info.pid);
}

void handle_info(struct agent *agent, struct request *request)
{
	char time[CLOCK_TEXT_SIZE];
	const char *fallback = agent->options->default_function;
	request_reply_json(request, 200,
	        json_pack("{s:s,s:o,s:s,s:s,s:s,s:i,s:s}", "version", RAIO_VERSION, "card",
	                info_card(agent), "socket", agent->options->socket_path, "started",
	                clock_rfc3339(agent->started_wall_ns, time), "default",
	                fallback ? fallback : "pass", "pid", (int)getpid(), "state",
	                agent->options->state_dir));
}

static const struct card_generation *find(
        const struct card_generation *list, uint32_t count, uint64_t id)
{
	for (uint32_t i = 0; i < count; i++)
		if (list[i].id == id)
			return &list[i];
	return NULL;
}

// {"generation", "run", "function"} of what stands in a bank.
static json_t *bank_json(
        struct agent *agent, const struct card_generation *list, uint32_t count, uint64_t id)
{
	const struct card_generation *generation = id ? find(list, count, id) : NULL;
	const char *tag = generation ? generation->tag : "";
	const char *function = id ? "unknown" : "pass";
	const char *fallback = agent->options->default_function;
	uint64_t run_id = run_of_tag(tag);
	for (const struct run *run = queue_runs(agent->queue); run; run = run->next)
		if (run_id && run->id == run_id)
			function = run->function;
	if (strcmp(tag, "default") == 0 && fallback)
		function = fallback;
	else if (generation && strcmp(function, "unknown") == 0)
		function = generation->name;
	return json_pack("{s:I,s:o,s:s}", "generation", (json_int_t)id, "run",
	        run_id ? json_string(tag) : json_null(), "function", function);
}

static json_t *port_json(struct agent *agent, const struct card_port *port,
        const struct card_generation *list, uint32_t count)
{
	const struct port_stats *stats = &port->stats;
	json_t *json = json_pack("{s:i,s:s,s:s,s:b,s:b,s:i,s:I}", "port", port->number, "spec",
	        port->spec, "description", port->description, "up", port->up, "finished",
	        port->finished, "bank", port->bank, "r0", (json_int_t)port->r0);
	json_object_set_new(json, "active", bank_json(agent, list, count, port->active));
	json_object_set_new(
	        json, "idle", port->idle ? bank_json(agent, list, count, port->idle) : json_null());
	json_t *numbers = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "received",
	        (json_int_t)stats->rx_packets, "received_bytes", (json_int_t)stats->rx_bytes,
	        "sent", (json_int_t)stats->tx_packets, "sent_bytes", (json_int_t)stats->tx_bytes,
	        "dropped",
	        (json_int_t)(stats->rx_dropped + stats->tx_dropped + port->total.tx_dropped),
	        "passed", (json_int_t)stats->host_packets, "oversize",
	        (json_int_t)stats->rx_oversize, "processed", (json_int_t)port->total.packets,
	        "instructions", (json_int_t)port->total.instructions, "sequence_lost",
	        (json_int_t)stats->seq_lost, "sequence_reordered",
	        (json_int_t)stats->seq_reordered);
	json_object_update(json, numbers);
	json_decref(numbers);
	json_object_set_new(json, "verdicts", verdicts_json(&port->total));
	return json;
}

json_t *card_json(struct agent *agent, struct error *err)
{
	struct card_info info = {0};
	char time[CLOCK_TEXT_SIZE];
	struct card *card = agent->card;
	uint32_t port_count = 0, count = 0;
	autofree struct card_port *ports = calloc(PORTS_MAX, sizeof(*ports));
	autofree struct card_generation *list = calloc(GENERATIONS_MAX, sizeof(*list));
	if (!ports || !list) {
		error_set(err, 12, "no memory for the card's state");
		return NULL;
	}
	if (card->ops->info(card, &info, err) ||
	        card->ops->ports(card, ports, PORTS_MAX, &port_count, err) ||
	        card->ops->generations(card, list, GENERATIONS_MAX, &count, err))
		return NULL;
	json_t *array = json_array();
	for (uint32_t i = 0; i < port_count; i++)
		json_array_append_new(array, port_json(agent, &ports[i], list, count));
	return json_pack("{s:s,s:s,s:s,s:i,s:i,s:o}", "kind", info.kind, "version", info.version,
	        "started", clock_rfc3339(info.started_wall_ns, time), "workers",
	        (int)info.worker_count, "pid", (int)info.pid, "ports", array);
}

void handle_card(struct agent *agent, struct request *request)
{
	struct error err = {0};
	if (!agent_has_card(agent, request))
		return;
	json_t *json = card_json(agent, &err);
	if (json)
		request_reply_json(request, 200, json);
	else
		agent_card_error(agent, request, &err);
}

struct receipt_list {
	struct card *card;
	json_t *list;
};

static int append_receipt(void *context, const char *body)
{
	struct receipt_list *to = context;
	json_t *json = json_loads(body, 0, NULL);
	if (json) {
		receipt_refresh(to->card, json);
		json_array_append_new(to->list, json);
	}
	return 0;
}

void handle_swap_list(struct agent *agent, struct request *request)
{
	struct error err = {0};
	struct receipt_list to = {agent->card, json_array()};
	int64_t limit = request_number(request, "limit", 50, 2000);
	if (limit >= 0 &&
	        store_receipt_list(agent->store, (uint32_t)limit, append_receipt, &to, &err) == 0) {
		request_reply_json(request, 200, to.list);
		return;
	}
	json_decref(to.list);
	if (limit < 0)
		request_error(request, STATUS_INVALID, NULL, "limit must be a number");
	else
		request_fail(request, &err);
}

// One metric with its help; the samples follow.
static void metric(struct buffer *out, const char *name, const char *type, const char *help)
{
	buffer_printf(out, "# HELP raio_%s %s\n# TYPE raio_%s %s\n", name, help, name, type);
}

struct port_metric {
	const char *name, *help;
	size_t offset; // in struct card_port
};

static const struct port_metric port_metrics[] = {
        {"port_received_packets_total", "packets received",
                offsetof(struct card_port, stats.rx_packets)},
        {"port_received_bytes_total", "bytes received", offsetof(struct card_port, stats.rx_bytes)},
        {"port_sent_packets_total", "packets sent", offsetof(struct card_port, stats.tx_packets)},
        {"port_sent_bytes_total", "bytes sent", offsetof(struct card_port, stats.tx_bytes)},
        {"port_receive_dropped_packets_total", "packets lost before the card",
                offsetof(struct card_port, stats.rx_dropped)},
        {"port_send_dropped_packets_total", "packets that could not be sent",
                offsetof(struct card_port, stats.tx_dropped)},
        {"port_host_packets_total", "packets passed to the host",
                offsetof(struct card_port, stats.host_packets)},
        {"port_instructions_total", "instructions run",
                offsetof(struct card_port, total.instructions)},
};

static void put_ports(struct agent *agent, struct buffer *out)
{
	static const char *const verdicts[5] = {"aborted", "drop", "pass", "tx", "redirect"};
	autofree struct card_port *ports = calloc(PORTS_MAX, sizeof(*ports));
	uint32_t count = 0;
	if (!agent->card || !ports ||
	        agent->card->ops->ports(agent->card, ports, PORTS_MAX, &count, NULL))
		return;
	for (size_t m = 0; m < ARRAY_SIZE(port_metrics); m++) {
		metric(out, port_metrics[m].name, "counter", port_metrics[m].help);
		for (uint32_t i = 0; i < count; i++) {
			uint64_t value;
			memcpy(&value, (const char *)&ports[i] + port_metrics[m].offset,
			        sizeof(value));
			buffer_printf(out, "raio_%s{port=\"%u\"} %llu\n", port_metrics[m].name,
			        ports[i].number, (unsigned long long)value);
		}
	}
	metric(out, "port_verdicts_total", "counter", "packets by port and verdict");
	for (uint32_t i = 0; i < count; i++)
		for (int v = 0; v < 5; v++)
			buffer_printf(out,
			        "raio_port_verdicts_total{port=\"%u\",verdict=\"%s\"} %llu\n",
			        ports[i].number, verdicts[v],
			        (unsigned long long)ports[i].total.verdict_packets[v]);
}

static void put_one(
        struct buffer *out, const char *name, const char *type, const char *help, uint64_t value)
{
	metric(out, name, type, help);
	buffer_printf(out, "raio_%s %llu\n", name, (unsigned long long)value);
}

void handle_metrics(struct agent *agent, struct request *request)
{
	cleanup(buffer_free) struct buffer out = {0};
	unsigned states[RUN_STATE_COUNT] = {0};
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	for (const struct run *run = queue_runs(agent->queue); run; run = run->next)
		states[run->state]++;
	metric(&out, "runs", "gauge", "runs that have not ended, by state");
	for (int i = RUN_QUEUED; i <= RUN_RUNNING; i++)
		buffer_printf(&out, "raio_runs{state=\"%s\"} %u\n",
		        run_state_name((enum run_state)i), states[i]);
	put_one(&out, "card_up", "gauge", "1 if the card answers", agent->card != NULL);
	put_one(&out, "card_losses_total", "counter", "times the card went away",
	        agent->card_losses);
	put_one(&out, "compilations_total", "counter", "sources compiled", agent->compile_count);
	put_one(&out, "compilation_failures_total", "counter", "sources or objects refused",
	        agent->compile_failures);
	put_one(&out, "http_requests_total", "counter", "requests",
	        http_request_count(agent->http));
	put_one(&out, "agent_start_time_seconds", "gauge", "when the agent started",
	        agent->started_wall_ns / NS_PER_S);
	put_one(&out, "agent_resident_max_bytes", "gauge", "most memory that the agent has had",
	        (uint64_t)usage.ru_maxrss * 1024);
	put_ports(agent, &out);
	request_reply(request, 200, "text/plain; version=0.0.4; charset=utf-8", out.data, out.size);
}
