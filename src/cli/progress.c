// SPDX-License-Identifier: Apache-2.0
#include "cli/progress.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/report.h"
#include "cli/table.h"

#define BAR_WIDTH 24

struct progress {
	struct cli *cli;
	struct client *client; // its own: the waiting request is under way in the other
	char state[16], id[32];
	double slice_s; // 0 = forever
	uint64_t started_ns;
	uint64_t read_ns, received, sent; // the card's counters as last read
	bool has_bar;
};

bool progress_interrupted(void)
{
	sigset_t pending;
	return sigpending(&pending) == 0 && sigismember(&pending, SIGINT) == 1;
}

int progress_new(struct cli *cli, struct progress **progress)
{
	struct progress *new = calloc(1, sizeof(*new));
	if (!new || client_new(cli->socket, &new->client) < 0) {
		free(new);
		return -ENOMEM;
	}
	new->cli = cli;
	// Held back and looked for at each tick: no handler, no global.
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	*progress = new;
	return 0;
}

static void clear_bar(struct progress *progress)
{
	if (progress->has_bar)
		fputs("\r\033[K", stderr);
	progress->has_bar = false;
}

void progress_free(struct progress **progress)
{
	if (!*progress)
		return;
	clear_bar(*progress);
	client_free(&(*progress)->client);
	free(*progress);
	*progress = NULL;
}

void progress_state(struct progress *progress, const json_t *run)
{
	const char *state = member_text(run, "state"), *id = member_text(run, "id");
	const json_t *slice = json_object_get(run, "slice_s");
	char ports[256];
	clear_bar(progress);
	report_list(json_object_get(run, "ports"), ports, sizeof(ports));
	if (strcmp(state, "queued") == 0)
		cli_note(progress->cli, "run %s queued, position %llu", id,
		        (unsigned long long)member_count(run, "position"));
	else if (strcmp(state, progress->state) == 0)
		return;
	else if (strcmp(state, "running") == 0 && json_is_string(slice))
		cli_note(progress->cli, "run %s running on ports %s until cancelled", id,
		        report_list(json_object_get(run, "ports"), ports, sizeof(ports)));
	else if (strcmp(state, "running") == 0)
		cli_note(progress->cli, "run %s running on ports %s until %s", id,
		        report_list(json_object_get(run, "ports"), ports, sizeof(ports)),
		        member_text(run, "ends"));
	else
		cli_note(progress->cli, "run %s %s", id, state);
	snprintf(progress->state, sizeof(progress->state), "%s", state);
	snprintf(progress->id, sizeof(progress->id), "%s", id);
	progress->slice_s = json_number_value(slice);
	progress->started_ns = clock_ns();
}

// Sums of all ports since the last reading, as rates.
static bool read_rates(struct progress *progress, double *in_pps, double *out_pps)
{
	json_t *card = NULL, *port;
	size_t i;
	struct failure failure;
	uint64_t received = 0, sent = 0, now = clock_ns();
	client_deadline(progress->client, now + 200 * NS_PER_MS);
	if (client_request(progress->client, "GET", "/v1/card", NULL, &card, &failure) != EXIT_DONE)
		return false;
	json_array_foreach(json_object_get(card, "ports"), i, port)
	{
		received += member_count(port, "received");
		sent += member_count(port, "sent");
	}
	json_decref(card);
	double seconds = (double)(now - progress->read_ns) / 1e9;
	bool is_first = !progress->read_ns || received < progress->received || seconds <= 0;
	*in_pps = is_first ? 0 : (double)(received - progress->received) / seconds;
	*out_pps = is_first ? 0 : (double)(sent - progress->sent) / seconds;
	progress->read_ns = now;
	progress->received = received;
	progress->sent = sent;
	return !is_first;
}

void progress_tick(struct progress *progress)
{
	char bar[BAR_WIDTH * 4 + 1] = "", in[NUMBER_SIZE], out[NUMBER_SIZE];
	double in_pps, out_pps, elapsed = (double)(clock_ns() - progress->started_ns) / 1e9;
	if (progress->cli->is_quiet || !progress->cli->has_progress ||
	        strcmp(progress->state, "running") != 0)
		return;
	bool has_rates = read_rates(progress, &in_pps, &out_pps);
	clear_bar(progress);
	if (progress->slice_s > 0)
		fprintf(stderr, "[%s] %.1f of %g s",
		        number_bar(elapsed / progress->slice_s, BAR_WIDTH, progress->cli->is_ascii,
		                bar, sizeof(bar)),
		        elapsed < progress->slice_s ? elapsed : progress->slice_s,
		        progress->slice_s);
	else
		fprintf(stderr, "running for %.0f s", elapsed);
	if (has_rates)
		fprintf(stderr, "  in %s, out %s", number_scaled(in_pps, "pps", in),
		        number_scaled(out_pps, "pps", out));
	fflush(stderr);
	progress->has_bar = true;
}
