#include "store/receipt.h"

#include "store/items.h"

#include <stdlib.h>

uint64_t receipt_sequence(const struct receipt *receipt)
{
	return receipt->sequence;
}

uint64_t receipt_position(const struct receipt *receipt)
{
	return receipt->position;
}

int64_t receipt_stored_ms(const struct receipt *receipt)
{
	return receipt->stored_ms;
}

bool receipt_follows(const struct receipt *receipt)
{
	return receipt->follows;
}

enum result receipt_result(const struct receipt *receipt)
{
	return receipt->result;
}

void items_receipt_free(struct store_put *put)
{
	free((struct receipt *)put->receipt);
	put->receipt = NULL;
}
