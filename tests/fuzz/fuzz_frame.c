/* uses: proto */
/*
 * fuzz_frame.c - any octets as frames, messages and envelopes: no crash, no overrun, and what we
 * can write is read back as the same message.
 */
#include <stdlib.h>

#include "proto/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void there_and_back(const struct msg *msg)
{
	static uint8_t octets[65536], again[65536];
	struct frame frame;
	struct msg back;
	int n = msg_write(msg, octets, sizeof(octets));

	if (msg->type == FRAME_ITEM || msg->type == FRAME_MORE || msg->type == FRAME_DATA ||
	    msg->type == FRAME_ACK)
		return; /* the session makes these */
	if (n <= 0 || frame_next(slice_of(octets, (size_t)n), 65536, &frame) != n ||
	    msg_read(&frame, &back, NULL) < 0 || msg_write(&back, again, sizeof(again)) != n ||
	    memcmp(octets, again, (size_t)n) != 0)
		abort();
}

static void one_envelope(struct slice octets)
{
	const struct envelope_stamp stamp = { .origin = "o",
					      .sender = "s",
					      .node = "n",
					      .received = "r",
					      .trust_transport = octets.n & 1 };
	struct envelope envelope, back;
	uint8_t *json;
	size_t n;

	if (envelope_read(octets, 64, &envelope, NULL) < 0)
		return;
	if (envelope_write(&envelope, &stamp, 1 << 20, &json, &n) == 0) {
		if (envelope_read(slice_of(json, n), 64, &back, NULL) == 0)
			envelope_done(&back);
		else if (octets.n < 1 << 16)
			abort(); /* what we pass on must be readable by the next */
		free(json);
	}
	envelope_done(&envelope);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice wire = slice_of(data, size);
	struct frame frame;
	struct msg msg;
	struct ack ack;
	int n;

	one_envelope(wire);
	while ((n = frame_next(wire, 65536, &frame)) > 0) {
		if ((size_t)n > wire.n || frame.payload.n + FRAME_HEADER != (size_t)n)
			abort();
		if (frame.type < 128 && msg_read(&frame, &msg, NULL) == 0) {
			there_and_back(&msg);
			while (msg.type == FRAME_ACK && msg_ack_next(&msg, &ack))
				;
		}
		wire = slice_of(wire.p + n, wire.n - (size_t)n);
	}
	return 0;
}
