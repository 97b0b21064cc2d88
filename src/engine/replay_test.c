// SPDX-License-Identifier: Apache-2.0
// The cases of tests/data/engines (diff_case.h), each in every engine: programs that aim at what a
// compiler may leave out or put together, and what the differential fuzzer once found.
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "engine/diff.h"
#include "engine/diff_case.h"
#include "engine/engine.h"
#include "engine/way.h"

struct sides {
	struct diff_side *side[ENGINE_WAYS_MAX];
	struct diff_outcome outcome[ENGINE_WAYS_MAX];
	uint32_t cases, wrong;
};

static void open_sides(struct sides *sides)
{
	struct error err = {0};
	for (uint32_t i = 0; engine_way(i); i++) {
		if (diff_side_new(engine_way(i), &sides->side[i], &err)) {
			fprintf(stderr, "%s\n", err.text);
			exit(1);
		}
	}
}

static bool ends_as_expected(const struct diff_case *it, const struct diff_outcome *outcome)
{
	if (!outcome->loaded) {
		fprintf(stderr, "%s: refused\n", it->name);
		return false;
	}
	if (!it->expects || (outcome->fault == it->fault && outcome->result == it->result))
		return true;
	fprintf(stderr, "%s: r0 = %#x, expected %#x; fault: %s, expected: %s\n", it->name,
	        outcome->result, it->result, fault_name(outcome->fault), fault_name(it->fault));
	return false;
}

static void run_case(struct sides *sides, const struct diff_case *it)
{
	sides->cases++;
	for (uint32_t i = 0; engine_way(i); i++) {
		diff_run(sides->side[i], &it->setup, &sides->outcome[i]);
		if (!i && !ends_as_expected(it, &sides->outcome[i])) {
			sides->wrong++;
		} else if (!diff_same(&sides->outcome[0], &sides->outcome[i])) {
			fprintf(stderr, "%s:\n", it->name);
			diff_print(stderr, engine_way(0)->name, &sides->outcome[0],
			        engine_way(i)->name, &sides->outcome[i]);
			sides->wrong++;
		}
	}
}

static void run_file(struct sides *sides, const char *path)
{
	static struct diff_case it;
	autofclose FILE *file = fopen(path, "r");
	if (!file) {
		perror(path);
		exit(1);
	}
	while (diff_case_next(file, path, &it))
		run_case(sides, &it);
}

static int is_case(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');
	return dot && strcmp(dot, ".case") == 0;
}

int main(int argc, char **argv)
{
	struct sides sides = {0};
	struct dirent **entries;
	const char *source = getenv("RAIO_SOURCE_DIR");
	char directory[512], path[1024];
	open_sides(&sides);
	for (int i = 1; i < argc; i++)
		run_file(&sides, argv[i]);
	snprintf(directory, sizeof(directory), "%s/tests/data/engines", source ? source : ".");
	int count = argc > 1 ? 0 : scandir(directory, &entries, is_case, alphasort);
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, entries[i]->d_name);
		run_file(&sides, path);
		free(entries[i]);
	}
	if (count > 0)
		free(entries);
	for (uint32_t i = 0; engine_way(i); i++) {
		diff_side_free(&sides.side[i]);
		diff_outcome_free(&sides.outcome[i]);
	}
	printf("%u cases, %u wrong\n", sides.cases, sides.wrong);
	return sides.wrong || !sides.cases ? 1 : 0;
}
