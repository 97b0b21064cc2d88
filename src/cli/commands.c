// SPDX-License-Identifier: Apache-2.0
// The command table. A new command is a row here and a handler; its help, completion and manual
// follow: `raio __man >docs/man/raio.1.scd` makes the page again, and a test compares.
#include "cli/commands.h"

#include "base/cleanup.h"
#include "cli/command.h"
#include "cli/help.h"

#define DRY_RUN                                                                                    \
	{                                                                                          \
		"dry-run", 0, NULL, "check everything and say what would be done; do nothing", 0,  \
		        NULL                                                                       \
	}
#define RULES                                                                                      \
	{                                                                                          \
		"rules", 0, "FILE", "fill its maps from this rules file (raio-rules(5))",          \
		        COMPLETE_FILE, NULL                                                        \
	}
#define PROGRAM                                                                                    \
	{                                                                                          \
		"program", 'p', "NAME",                                                            \
		        "the program that packets enter, where FILE has several: its function or " \
		        "section",                                                                 \
		        0, NULL                                                                    \
	}
#define PORTS                                                                                      \
	{                                                                                          \
		"ports", 0, "LIST", "its ports, as in 0,2-3, or all (default)", COMPLETE_WORDS,    \
		        "all 0 0,1 0-3"                                                            \
	}
#define SLICE                                                                                      \
	{                                                                                          \
		"slice", 's', "TIME",                                                              \
		        "how long it runs: 3 to 300 seconds (default 5), or forever",              \
		        COMPLETE_WORDS, "5 10 30 60 300 forever"                                   \
	}
#define MAPS                                                                                       \
	{                                                                                          \
		"maps", 0, "POLICY",                                                               \
		        "maps at a change: fresh, carry (kept where they agree), or the names of " \
		        "those to carry",                                                          \
		        COMPLETE_WORDS, "fresh carry"                                              \
	}
#define IN_RUN                                                                                     \
	{                                                                                          \
		"run", 'r', "ID", "the run whose map it is, where several have one of that name",  \
		        COMPLETE_RUN, NULL                                                         \
	}
#define WATCH                                                                                      \
	{                                                                                          \
		"watch", 'w', NULL,                                                                \
		        "go on, and print what changes; with -o json a document a line", 0, NULL   \
	}
#define LIMIT                                                                                      \
	{                                                                                          \
		"limit", 'n', "N", "at most so many", 0, NULL                                      \
	}
#define END                                                                                        \
	{                                                                                          \
		NULL, 0, NULL, NULL, 0, NULL                                                       \
	}

const struct option command_global_options[] = {
        {"output", 'o', "FORMAT", "table (default), or json: one document on stdout",
                COMPLETE_WORDS, "table json"},
        {"socket", 0, "PATH", "where the agent listens; default $RAIO_SOCKET", COMPLETE_FILE, NULL},
        {"timeout", 0, "TIME", "give up after this time, as in 30s; the exit code is then 6", 0,
                NULL},
        {"quiet", 'q', NULL, "no progress and no remarks on stderr", 0, NULL},
        {"help", 'h', NULL, "explain the command", 0, NULL},
        {"version", 'V', NULL, "print the version", 0, NULL},
        END,
};

static const struct option create_options[] = {PROGRAM, RULES, SLICE, PORTS, MAPS,
        {"budget", 0, "N", "instructions that a packet may take", 0, NULL}, DRY_RUN, END};
static const struct option update_options[] = {PROGRAM, RULES, SLICE, PORTS, MAPS,
        {"budget", 0, "N", "instructions that a packet may take", 0, NULL}, DRY_RUN, END};
static const struct option dry_run_options[] = {DRY_RUN, END};
static const struct option list_options[] = {WATCH, END};
static const struct option logs_options[] = {
        {"follow", 'f', NULL, "go on with what is logged from now", 0, NULL},
        {"tail", 'n', "N", "the last N lines only", 0, NULL},
        {"run", 'r', "ID", "lines of this run only", COMPLETE_RUN, NULL}, END};
static const struct option program_options[] = {PROGRAM, END};
static const struct option test_options[] = {
        {"pcap", 'i', "FILE", "the packets that arrive: pcap or pcapng", COMPLETE_FILE, NULL},
        {"expect", 'e', "FILE", "the packets that must leave, in order", COMPLETE_FILE, NULL},
        RULES, PROGRAM,
        {"port", 0, "N", "the port they come by, where the capture does not say (default 0)", 0,
                NULL},
        {"ports", 0, "LIST", "ports of the card (default 0-3, and those of the capture)", 0, NULL},
        {"out", 0, "FILE", "write the packets that leave, as pcapng with an interface a port",
                COMPLETE_FILE, NULL},
        {"budget", 0, "N", "instructions that a packet may take", 0, NULL},
        {"verbose", 'v', NULL, "a line for each packet", 0, NULL},
        {"show-maps", 0, NULL, "print what the maps hold at the end", 0, NULL}, END};
static const struct option run_options[] = {SLICE, PORTS, MAPS, RULES,
        {"priority", 0, "N", "runs of a higher priority go first (default 0)", 0, NULL},
        {"return-maps", 0, NULL, "print what its maps held at the end", 0, NULL},
        {"confirm", 0, "TIME", "go back to what ran before unless confirmed within this time", 0,
                NULL},
        {"wait", 0, NULL, "wait for the end and print the report (default)", 0, NULL},
        {"no-wait", 0, NULL, "only queue it, and print the run's id", 0, NULL}, WATCH, DRY_RUN,
        END};
static const struct option renew_options[] = {SLICE, END};
static const struct option run_list_options[] = {
        {"state", 0, "LIST", "runs in these states only", COMPLETE_WORDS,
                "queued loading running finished cancelled failed expired"},
        {"function", 0, "NAME", "runs of this function only", COMPLETE_FUNCTION, NULL}, LIMIT, END};
static const struct option map_options[] = {
        IN_RUN, LIMIT, {"key", 'k', "KEY", "this entry only", 0, NULL}, END};
static const struct option map_list_options[] = {IN_RUN, END};
static const struct option map_edit_options[] = {IN_RUN, DRY_RUN, END};
static const struct option map_set_options[] = {IN_RUN,
        {"flags", 0, "WHEN", "any (default), new: only if it is not there, exist: only if it is",
                COMPLETE_WORDS, "any new exist"},
        DRY_RUN, END};
static const struct option map_delete_options[] = {
        IN_RUN, {"all", 0, NULL, "every entry", 0, NULL}, DRY_RUN, END};
static const struct option map_events_options[] = {IN_RUN,
        {"follow", 'f', NULL, "go on with what is written from now, until the run ends", 0, NULL},
        {"count", 'n', "N", "stop after N records", 0, NULL}, END};
static const struct option limit_options[] = {LIMIT, END};
static const struct option top_options[] = {{"count", 'n', "N", "stop after N readings", 0, NULL},
        {"interval", 0, "TIME", "between two readings (default 1s)", 0, NULL},
        {"watch", 'w', NULL, "with -o json: a document a line, one a reading", 0, NULL}, END};

#define FUNCTION_ARG                                                                               \
	{                                                                                          \
		"NAME", false, false, COMPLETE_FUNCTION, NULL                                      \
	}
#define RUN_ARG                                                                                    \
	{                                                                                          \
		"ID", false, false, COMPLETE_RUN, NULL                                             \
	}
#define MAP_ARG                                                                                    \
	{                                                                                          \
		"MAP", false, false, COMPLETE_MAP, NULL                                            \
	}
#define FILE_ARG                                                                                   \
	{                                                                                          \
		"FILE", false, false, COMPLETE_FILE, NULL                                          \
	}
// In order: noun, verb, shorthand, is default, summary, detail, arguments, options, example,
// handler.
const struct command command_table[] = {
        {"function", "new", "new", false, "write a starter function",
                "Writes NAME.c, a function that builds and runs as it is, and NAME.rules, which "
                "fills its "
                "map, into this folder. Never overwrites a file.",
                {{"NAME", false, false, COMPLETE_NONE, NULL}}, NULL, "raio new filter",
                function_new},
        {"function", "create", "create", false, "give the agent a function",
                "FILE.c is compiled by the agent; FILE.o is an object of clang -target bpf. The "
                "settings are "
                "the defaults of its runs. Nothing runs yet.",
                {{"NAME", false, false, COMPLETE_NONE, NULL}, FILE_ARG}, create_options,
                "raio create filter filter.c --slice 30 --rules filter.rules", function_create},
        {"run", "start", "run", true, "run a function for a slice of time",
                "Queues the run, waits for its end, and prints its report: verdicts, ports, aborts "
                "by source "
                "line, latency, and the receipts of both changes of function. Ctrl-C ends the "
                "waiting, "
                "not the run.",
                {FUNCTION_ARG}, run_options,
                "raio run filter --slice 10 --ports 0,1\nraio run filter --slice forever --no-wait",
                run_start},
        {"function", "update", "update", false, "change a function, also while it runs",
                "Whatever is given changes: the code, the settings, the rules. A live run goes on "
                "with the "
                "new code within the same slice, and no packet is lost at the change.",
                {FUNCTION_ARG, {"FILE", true, false, COMPLETE_FILE, NULL}}, update_options,
                "raio update filter filter.c --maps carry", function_update},
        {"function", "delete", "delete", false, "remove a function",
                "Its queued runs are cancelled and its live run ends now. Takes the whole name, no "
                "prefix.",
                {FUNCTION_ARG}, dry_run_options, NULL, function_delete},
        {"function", "list", "list", true, "list the functions", NULL, {{0}}, list_options, NULL,
                function_list},
        {"function", "describe", "describe", false, "show all about a function", NULL,
                {FUNCTION_ARG}, NULL, NULL, function_describe},
        {"function", "logs", "logs", false, "show what happened to a function",
                "Deployments, hand-overs, faults, and the lines that it printed with bpf_printk.",
                {FUNCTION_ARG}, logs_options, "raio logs filter --follow", function_logs},
        {"function", "test", "test", false, "run a function over a capture, offline",
                "FUNCTION is a .c or .o file, or the name of a function that the agent has. Its "
                "packets come "
                "from a capture; its clock is the capture's, so that each time gives the same. In "
                "a pcapng "
                "file the interface is the port. With --expect, the packets that leave (all but "
                "the "
                "dropped and aborted) must be those of the other capture; in a pcapng file that "
                "--out "
                "wrote, also their ports. The exit code is 7 where they differ. No card and no "
                "agent is "
                "needed.",
                {{"FUNCTION", false, false, COMPLETE_SOURCE, NULL}}, test_options,
                "raio test filter.c --pcap in.pcap --expect out.pcapng --rules filter.rules",
                function_test},
        {"function", "check", "check", false, "say what is proven of a function, offline",
                "FUNCTION is a .c or .o file, or the name of a function that the agent has. Says "
                "what the agent would say at create; then, of each program, how many of its "
                "accesses are proven to lie in their windows, so that they cost nothing, and which "
                "ones are checked as they run: where, why, and what would have them proven. "
                "Nothing is rejected for that.",
                {{"FUNCTION", false, false, COMPLETE_SOURCE, NULL}}, program_options,
                "raio check filter.c", function_check},
        {"function", "disasm", NULL, false, "print a function's instructions",
                "Of a .c or .o file, or of a function that the agent has; with source lines.",
                {{"FUNCTION", false, false, COMPLETE_SOURCE, NULL}}, program_options, NULL,
                function_disasm},
        {"run", "cancel", NULL, false, "end a run now", "A queued one then never runs.", {RUN_ARG},
                NULL, NULL, run_cancel},
        {"run", "renew", NULL, false, "give a live run more time", "The new slice counts from now.",
                {RUN_ARG}, renew_options, "raio run renew r7 --slice 60", run_renew},
        {"run", "confirm", NULL, false, "keep a run that was started with --confirm", NULL,
                {RUN_ARG}, NULL, NULL, run_confirm},
        {"run", "list", NULL, false, "list runs, newest first", NULL, {{0}}, run_list_options, NULL,
                run_list},
        {"run", "describe", NULL, false, "print a run's report", NULL, {RUN_ARG}, NULL, NULL,
                run_describe},
        {"queue", "list", NULL, true, "show what runs and what waits", NULL, {{0}}, list_options,
                NULL, queue_list},
        {"map", "list", NULL, false, "list the maps of the live runs", NULL, {{0}},
                map_list_options, NULL, map_list},
        {"map", "show", NULL, true, "show what a map holds",
                "Keys and values are shown by the fields that their C types have. Without a name: "
                "the list "
                "of maps.",
                {{"MAP", true, false, COMPLETE_MAP, NULL}}, map_options,
                "raio map routes --key 10.0.0.0/24", map_show},
        {"map", "set", NULL, false, "write an entry",
                "KEY and VALUE are scalars, or field=value pairs parted by commas.",
                {MAP_ARG, {"KEY", false, false, COMPLETE_NONE, NULL},
                        {"VALUE", false, false, COMPLETE_NONE, NULL}},
                map_set_options, "raio map set routes 10.0.0.0/24 port=1,mac=02:00:00:00:00:01",
                map_set},
        {"map", "delete", NULL, false, "delete an entry, or all", NULL,
                {MAP_ARG, {"KEY", true, false, COMPLETE_NONE, NULL}}, map_delete_options, NULL,
                map_delete_entries},
        {"map", "load", NULL, false, "write the entries of a rules file",
                "All of the file is read and checked before an entry is written (raio-rules(5)).",
                {MAP_ARG, FILE_ARG}, map_edit_options, "raio map load routes routes.rules",
                map_load},
        {"map", "events", NULL, false, "take the records out of a ring or perf buffer",
                "Prints what a function wrote to a map of type ringbuf or perf_event_array since "
                "it was last read: by its fields where the map's definition gives the type of its "
                "records, else in hex. A record is taken once; those who follow one map at the "
                "same "
                "time each get it.",
                {MAP_ARG}, map_events_options, "raio map events samples --follow", map_events},
        {"port", "list", NULL, true, "list the card's ports and their counters", NULL, {{0}}, NULL,
                NULL, port_list},
        {"card", "show", NULL, true, "show the card: ports, banks, what runs", NULL, {{0}}, NULL,
                NULL, card_show},
        {"swap", "list", NULL, true, "list the receipts of changes of function, newest first",
                "Each says how long a port was without a function and how many packets were lost "
                "(none).",
                {{0}}, limit_options, NULL, swap_list},
        {"top", NULL, "top", false, "show live throughput by port",
                "Packets and bits each second by port, with a short history; | marks a change of "
                "function.",
                {{0}}, top_options, "raio top --count 5\nraio top -o json --watch --count 10",
                top_main},
        {"completion", NULL, NULL, false, "print the completion script of a shell",
                "Source it, or put it where the shell looks for it.",
                {{"SHELL", false, false, COMPLETE_WORDS, "bash zsh fish"}}, NULL,
                "source <(raio completion bash)", completion_main},
        {"version", NULL, NULL, false, "print the version of raio, and of the agent where one runs",
                NULL, {{0}}, NULL, NULL, version_main},
        {"help", NULL, NULL, false, "explain raio or a command", NULL,
                {{"COMMAND", true, true, COMPLETE_COMMAND, NULL}}, NULL, "raio help map set",
                help_main},
        {"__complete", NULL, NULL, false, "", NULL, {{"WORD", true, true, 0, NULL}}, NULL, NULL,
                completion_words},
        {"__man", NULL, NULL, false, "", NULL, {{0}}, NULL, NULL, help_man},
};
const size_t command_count = ARRAY_SIZE(command_table);
