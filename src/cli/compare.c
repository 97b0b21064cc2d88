// SPDX-License-Identifier: Apache-2.0
#include "cli/compare.h"

#include <string.h>

#define ROW 16u

static const char *way(const struct capture_packet *packet)
{
	return packet->is_host ? "to the host of" : "out of";
}

// Says in what two packets differ; false where they are equal.
static bool differ(const struct capture_packet *got, const struct capture_packet *want,
        bool has_ports, char *what, size_t size)
{
	uint32_t least = got->size < want->size ? got->size : want->size;
	if (has_ports && (got->port != want->port || got->is_host != want->is_host)) {
		snprintf(what, size, "it leaves %s port %u, expected %s port %u", way(got),
		        got->port, way(want), want->port);
		return true;
	}
	for (uint32_t i = 0; i < least; i++) {
		if (got->data[i] != want->data[i]) {
			snprintf(what, size, "byte %u is %02x, expected %02x", i, got->data[i],
			        want->data[i]);
			return true;
		}
	}
	if (got->size != want->size)
		snprintf(what, size, "it has %u bytes, expected %u", got->size, want->size);
	return got->size != want->size;
}

void compare_captures(
        const struct capture *got, const struct capture *want, struct compare *compare)
{
	size_t least = got->count < want->count ? got->count : want->count;
	*compare = (struct compare){0};
	for (; compare->place < least; compare->place++)
		if (differ(&got->packets[compare->place], &want->packets[compare->place],
		            want->has_ports, compare->what, sizeof(compare->what)))
			return;
	compare->is_equal = got->count == want->count;
	if (!compare->is_equal)
		snprintf(compare->what, sizeof(compare->what), "%zu packets leave, expected %zu",
		        got->count, want->count);
}

static void print_row(
        FILE *out, const char *title, const struct capture_packet *packet, uint32_t row)
{
	fprintf(out, "  %-9s %04x ", title, row);
	for (uint32_t i = row; i < row + ROW; i++)
		if (i < packet->size)
			fprintf(out, " %02x", packet->data[i]);
	fputc('\n', out);
}

static bool is_same(const struct capture_packet *got, const struct capture_packet *want, uint32_t i)
{
	if (i >= got->size || i >= want->size)
		return i >= got->size && i >= want->size;
	return got->data[i] == want->data[i];
}

void compare_print(const struct capture_packet *got, const struct capture_packet *want, FILE *out)
{
	uint32_t most = got->size > want->size ? got->size : want->size;
	for (uint32_t row = 0; row < most; row += ROW) {
		uint32_t last = row; // behind the last byte that differs
		for (uint32_t i = row; i < row + ROW && i < most; i++)
			if (!is_same(got, want, i))
				last = i + 1;
		if (last == row) {
			print_row(out, "", got, row);
			continue;
		}
		print_row(out, "got", got, row);
		print_row(out, "expected", want, row);
		fprintf(out, "  %-9s      ", "");
		for (uint32_t i = row; i < last; i++)
			fputs(is_same(got, want, i) ? "   " : " ^^", out);
		fputc('\n', out);
	}
}
