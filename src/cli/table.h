// SPDX-License-Identifier: Apache-2.0
// Text tables for people: columns as wide as their widest cell, numbers to the right, no line ends
// in blanks. And numbers as people read them.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct table;

// Columns parted by blanks, "NAME +PACKETS STATE": a leading + puts a column to the right.
int table_new(const char *columns, struct table **table);
void table_free(struct table **table);
void table_add(struct table *table, const char *cell); // copied; NULL or "" prints "-"
void table_printf(struct table *table, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
// Prints the rows under their heading, each line behind `indent`; nothing where there are no rows.
void table_print(const struct table *table, FILE *out, const char *indent);
size_t table_rows(const struct table *table);
size_t text_width(const char *text); // columns on a terminal: UTF-8 letters that are one wide

#define NUMBER_SIZE 32
// 1234567 -> "1,234,567"
const char *number_grouped(uint64_t value, char text[NUMBER_SIZE]);
// 14880000.0, "pps" -> "14.9 Mpps"; three digits
const char *number_scaled(double value, const char *unit, char text[NUMBER_SIZE]);
// ns -> "1.20 us", "3.5 ms", "5.00 s"
const char *number_time(double ns, char text[NUMBER_SIZE]);
// A bar of `width` columns filled to `part` (0 to 1): blocks, or '#' and '.' where `ascii`.
const char *number_bar(double part, unsigned width, bool ascii, char *text, size_t size);
