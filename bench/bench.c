// SPDX-License-Identifier: Apache-2.0
// Cells stand in the order in which they were first met, so that tables keep a program's order.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "bench.h"

#define LABEL_MAX 64

struct cell {
	char name[LABEL_MAX], side[LABEL_MAX], unit[LABEL_MAX];
	double *values;
	size_t count, capacity;
};

struct bench {
	struct cell *cells;
	size_t count, capacity;
};

int bench_new(struct bench **bench)
{
	*bench = calloc(1, sizeof(**bench));
	return *bench ? 0 : -ENOMEM;
}

void bench_free(struct bench **bench)
{
	if (!*bench)
		return;
	for (size_t i = 0; i < (*bench)->count; i++)
		free((*bench)->cells[i].values);
	free((*bench)->cells);
	free(*bench);
	*bench = NULL;
}

static void *grow(void *array, size_t count, size_t *capacity, size_t size)
{
	if (count < *capacity)
		return array;
	*capacity = *capacity ? 2 * *capacity : 16;
	array = reallocarray(array, *capacity, size);
	if (!array) {
		fprintf(stderr, "bench: out of memory\n");
		exit(1);
	}
	return array;
}

static struct cell *cell_find(const struct bench *bench, const char *name, const char *side)
{
	for (size_t i = 0; i < bench->count; i++)
		if (!strcmp(bench->cells[i].name, name) && !strcmp(bench->cells[i].side, side))
			return &bench->cells[i];
	return NULL;
}

void bench_sample(
        struct bench *bench, const char *name, const char *side, const char *unit, double value)
{
	struct cell *cell = cell_find(bench, name, side);
	if (!cell) {
		bench->cells =
		        grow(bench->cells, bench->count, &bench->capacity, sizeof(*bench->cells));
		cell = &bench->cells[bench->count++];
		memset(cell, 0, sizeof(*cell));
		snprintf(cell->name, sizeof(cell->name), "%s", name);
		snprintf(cell->side, sizeof(cell->side), "%s", side);
		snprintf(cell->unit, sizeof(cell->unit), "%s", unit);
	}
	cell->values = grow(cell->values, cell->count, &cell->capacity, sizeof(*cell->values));
	cell->values[cell->count++] = value;
}

static int value_order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

// Linear between the two nearest ranks. Sorts the cell's values.
static double quantile(struct cell *cell, double q)
{
	qsort(cell->values, cell->count, sizeof(*cell->values), value_order);
	double at = q * (double)(cell->count - 1);
	size_t low = (size_t)at, high = low + 1 < cell->count ? low + 1 : low;
	return cell->values[low] + (at - (double)low) * (cell->values[high] - cell->values[low]);
}

double bench_median(const struct bench *bench, const char *name, const char *side)
{
	struct cell *cell = cell_find(bench, name, side);
	return cell ? quantile(cell, 0.5) : NAN;
}

// The cell that ratios of `cell` are taken to: the first one of its case and unit.
static struct cell *reference(const struct bench *bench, const struct cell *cell)
{
	for (size_t i = 0; i < bench->count; i++)
		if (!strcmp(bench->cells[i].name, cell->name) &&
		        !strcmp(bench->cells[i].unit, cell->unit))
			return &bench->cells[i];
	return NULL;
}

static void print_table(struct bench *bench, const char *name)
{
	printf("%s: medians; ratio to the first side of each case\n", name);
	printf("%-30s %-26s %12s %12s %12s %5s %7s  %s\n", "case", "side", "median", "p10", "p90",
	        "n", "ratio", "unit");
	const char *last = "";
	for (size_t i = 0; i < bench->count; i++) {
		struct cell *cell = &bench->cells[i], *first = reference(bench, cell);
		double median = quantile(cell, 0.5), base = quantile(first, 0.5);
		printf("%-30s %-26s %12.6g %12.6g %12.6g %5zu ",
		        strcmp(last, cell->name) ? cell->name : "", cell->side, median,
		        quantile(cell, 0.1), quantile(cell, 0.9), cell->count);
		if (base == 0)
			printf("%7s  %s\n", "-", cell->unit);
		else
			printf("%7.3g  %s\n", median / base, cell->unit);
		last = cell->name;
	}
	fflush(stdout);
}

static void write_text(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', file);
		if ((unsigned char)*text >= ' ')
			fputc(*text, file);
	}
	fputc('"', file);
}

static void write_number(FILE *file, const char *key, double value)
{
	if (isfinite(value))
		fprintf(file, ", \"%s\": %.9g", key, value);
	else
		fprintf(file, ", \"%s\": null", key);
}

static int write_json(struct bench *bench, const char *path)
{
	autofclose FILE *file = fopen(path, "w");
	if (!file)
		return -errno;
	fprintf(file, "[");
	for (size_t i = 0; i < bench->count; i++) {
		struct cell *cell = &bench->cells[i];
		fprintf(file, "%s\n  {\"case\": ", i ? "," : "");
		write_text(file, cell->name);
		fprintf(file, ", \"side\": ");
		write_text(file, cell->side);
		fprintf(file, ", \"unit\": ");
		write_text(file, cell->unit);
		write_number(file, "median", quantile(cell, 0.5));
		write_number(file, "p10", quantile(cell, 0.1));
		write_number(file, "p90", quantile(cell, 0.9));
		fprintf(file, ", \"n\": %zu}", cell->count);
	}
	fprintf(file, "\n]\n");
	return fflush(file) || ferror(file) ? -EIO : 0;
}

int bench_report(struct bench *bench, const char *name, const char *json_path)
{
	print_table(bench, name);
	char path[4096];
	if (!json_path) {
		ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
		path[size < 0 ? 0 : size] = 0;
		char *slash = strrchr(path, '/');
		size_t at = slash ? (size_t)(slash + 1 - path) : 0;
		snprintf(path + at, sizeof(path) - at, "%s.json", name);
		json_path = path;
	}
	int rc = write_json(bench, json_path);
	if (rc)
		fprintf(stderr, "%s: %s\n", json_path, strerror(-rc));
	return rc;
}
