// SPDX-License-Identifier: Apache-2.0
#include "cli/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define COLUMNS_MAX 16

struct table {
	char *columns;
	const char *heading[COLUMNS_MAX];
	bool is_right[COLUMNS_MAX];
	size_t column_count;
	char **cells;
	size_t cell_count, capacity;
};

int table_new(const char *columns, struct table **table)
{
	struct table *new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	new->columns = strdup(columns);
	if (!new->columns) {
		free(new);
		return -ENOMEM;
	}
	char *rest = new->columns, *word;
	while (new->column_count < COLUMNS_MAX && (word = strsep(&rest, " "))) {
		new->is_right[new->column_count] = *word == '+';
		new->heading[new->column_count++] = word + (*word == '+');
	}
	*table = new;
	return 0;
}

void table_free(struct table **table)
{
	if (!*table)
		return;
	for (size_t i = 0; i < (*table)->cell_count; i++)
		free((*table)->cells[i]);
	free((*table)->cells);
	free((*table)->columns);
	free(*table);
	*table = NULL;
}

void table_add(struct table *table, const char *cell)
{
	if (table->cell_count == table->capacity) {
		size_t capacity = table->capacity ? table->capacity * 2 : 64;
		char **cells = realloc(table->cells, capacity * sizeof(*cells));
		if (!cells)
			return;
		table->cells = cells;
		table->capacity = capacity;
	}
	char *copy = strdup(cell && *cell ? cell : "-");
	// What others wrote must not steer the terminal.
	for (char *c = copy; c && *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	table->cells[table->cell_count++] = copy;
}

void table_printf(struct table *table, const char *format, ...)
{
	char text[1024];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	table_add(table, text);
}

size_t table_rows(const struct table *table)
{
	return table->cell_count / table->column_count;
}

size_t text_width(const char *text)
{
	size_t width = 0;
	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void print_cell(
        const struct table *table, FILE *out, const char *cell, size_t column, size_t width)
{
	size_t fill = width - text_width(cell);
	bool is_last = column + 1 == table->column_count;
	if (table->is_right[column])
		fprintf(out, "%*s%s", (int)fill, "", cell);
	else
		fprintf(out, "%s%*s", cell, is_last ? 0 : (int)fill, "");
	fputs(is_last ? "\n" : "  ", out);
}

void table_print(const struct table *table, FILE *out, const char *indent)
{
	size_t width[COLUMNS_MAX] = {0}, rows = table_rows(table);
	if (!rows)
		return;
	for (size_t c = 0; c < table->column_count; c++)
		width[c] = text_width(table->heading[c]);
	for (size_t i = 0; i < rows * table->column_count; i++) {
		const char *cell = table->cells[i] ? table->cells[i] : "";
		size_t c = i % table->column_count, wide = text_width(cell);
		width[c] = wide > width[c] ? wide : width[c];
	}
	fputs(indent, out);
	for (size_t c = 0; c < table->column_count; c++)
		print_cell(table, out, table->heading[c], c, width[c]);
	for (size_t i = 0; i < rows * table->column_count; i++) {
		size_t c = i % table->column_count;
		if (c == 0)
			fputs(indent, out);
		print_cell(table, out, table->cells[i] ? table->cells[i] : "", c, width[c]);
	}
}

const char *number_grouped(uint64_t value, char text[NUMBER_SIZE])
{
	char digits[24];
	int size = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value), at = 0;
	for (int i = 0; i < size; i++) {
		if (i && (size - i) % 3 == 0)
			text[at++] = ',';
		text[at++] = digits[i];
	}
	text[at] = 0;
	return text;
}

static int digits_behind(double value)
{
	return value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
}

const char *number_scaled(double value, const char *unit, char text[NUMBER_SIZE])
{
	static const char *const prefix[] = {"", "k", "M", "G", "T", "P"};
	size_t i = 0;
	if (value < 999.5) {
		bool is_whole = value == (double)(uint64_t)value;
		snprintf(text, NUMBER_SIZE, "%.*f %s", is_whole ? 0 : digits_behind(value), value,
		        unit);
		return text;
	}
	for (; value >= 999.5 && i + 1 < ARRAY_SIZE(prefix); i++)
		value /= 1000;
	snprintf(text, NUMBER_SIZE, "%.*f %s%s", digits_behind(value), value, prefix[i], unit);
	return text;
}

const char *number_time(double ns, char text[NUMBER_SIZE])
{
	static const char *const unit[] = {"ns", "us", "ms", "s"};
	size_t i = 0;
	for (; ns >= 999.5 && i + 1 < ARRAY_SIZE(unit); i++)
		ns /= 1000;
	snprintf(text, NUMBER_SIZE, "%.*f %s", i ? digits_behind(ns) : 0, ns, unit[i]);
	return text;
}

const char *number_bar(double part, unsigned width, bool ascii, char *text, size_t size)
{
	static const char *const eighth[] = {" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
	unsigned parts = (unsigned)(part < 0 ? 0 : part > 1 ? width * 8 : part * width * 8 + 0.5);
	size_t at = 0;
	text[0] = 0;
	for (unsigned i = 0; i < width && at + 4 < size; i++) {
		unsigned here = parts > i * 8 ? parts - i * 8 : 0;
		const char *cell = here >= 8 ? "█" : eighth[here];
		if (ascii)
			cell = here >= 4 ? "#" : ".";
		at += (size_t)snprintf(text + at, size - at, "%s", cell);
	}
	return text;
}
