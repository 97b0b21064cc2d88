// SPDX-License-Identifier: Apache-2.0
#include "card/soft/receipts.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static size_t receipt_size(const struct receipt *receipt)
{
	return offsetof(struct receipt, map) + receipt->map_count * sizeof(receipt->map[0]);
}

int receipts_keep(struct receipts *receipts, const struct receipt *receipt)
{
	size_t size = receipt_size(receipt);
	struct receipt *copy = malloc(size);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, receipt, size);
	struct receipt **place = &receipts->kept[receipt->sequence % RECEIPTS_KEPT];
	free(*place);
	*place = copy;
	receipts->newest = receipt->sequence;
	return 0;
}

struct receipt *receipts_find(struct receipts *receipts, uint64_t sequence)
{
	if (!sequence)
		sequence = receipts->newest;
	struct receipt *found = receipts->kept[sequence % RECEIPTS_KEPT];
	return found && found->sequence == sequence ? found : NULL;
}

struct receipt_port *receipt_port_of(struct receipt *receipt, uint8_t port)
{
	for (uint32_t i = 0; i < receipt->port_count; i++)
		if (receipt->port[i].port == port)
			return &receipt->port[i];
	return NULL;
}

void receipt_copy(const struct receipt *from, struct receipt *to)
{
	memset(to, 0, sizeof(*to));
	memcpy(to, from, receipt_size(from));
}

void receipts_clear(struct receipts *receipts)
{
	for (uint32_t i = 0; i < RECEIPTS_KEPT; i++)
		free(receipts->kept[i]);
	*receipts = (struct receipts){0};
}
