/* rate.c - see rate.h. */
#include "net/rate.h"

#include <linux/tcp.h> /* and not <netinet/tcp.h>, whose struct tcp_info ends too early */
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

static void set_lowat(struct rate *rate, int fd, uint32_t lowat)
{
	/* small changes are not worth a call */
	if (lowat > rate->lowat - rate->lowat / 4 && lowat < rate->lowat + rate->lowat / 4)
		return;
	rate->lowat = lowat;
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &(int){ (int)lowat }, sizeof(int));
}

void rate_open(struct rate *rate, int fd)
{
	struct rate_line line;

	*rate = (struct rate){ 0 };
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	set_lowat(rate, fd, RATE_SMALL_MAX);
	rate->near_ = rate_ask(fd, &line) && line.rtt_us < 3000;
}

bool rate_ask(int fd, struct rate_line *ret)
{
	struct tcp_info info = { 0 };
	socklen_t n = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0)
		return false;
	*ret = (struct rate_line){
		.acked = info.tcpi_bytes_acked,
		.delivery = info.tcpi_delivery_rate_app_limited ? 0 : info.tcpi_delivery_rate,
		.rtt_us = info.tcpi_rtt,
	};
	return true;
}

static int64_t every_ms(const struct rate *rate)
{
	int64_t every = rate->span_ms / 10;

	return every > RATE_EVERY_MS ? every : RATE_EVERY_MS;
}

static void drop_old(struct rate *rate, int64_t now_ms)
{
	/* the first point is the youngest that is as old as the span */
	while (rate->n > 2 &&
	       (rate->points[1].at_ms <= now_ms - rate->span_ms || rate->n == RATE_POINTS)) {
		rate->n--;
		memmove(rate->points, rate->points + 1, rate->n * sizeof(rate->points[0]));
	}
}

void rate_add(struct rate *rate, const struct rate_line *line, int64_t now_ms)
{
	int64_t took_ms;
	uint64_t measured;

	rate->span_ms = (int64_t)line->rtt_us * 2 / 1000;
	if (rate->span_ms < RATE_SPAN_MS)
		rate->span_ms = RATE_SPAN_MS;
	if (rate->span_ms > 4 * RATE_SPAN_MS)
		rate->span_ms = 4 * RATE_SPAN_MS;
	if (rate->points == NULL)
		rate->points = calloc(RATE_POINTS, sizeof(*rate->points));
	if (rate->points == NULL)
		return; /* what was known holds */
	drop_old(rate, now_ms);
	rate->points[rate->n].at_ms = now_ms;
	rate->points[rate->n++].acked = line->acked;
	took_ms = now_ms - rate->points[0].at_ms;
	if (rate->n < 2 || took_ms < RATE_EVERY_MS)
		return;
	measured = (line->acked - rate->points[0].acked) * 1000 / (uint64_t)took_ms;
	/* the first octets go into empty buffers along the way: the kernel may know better */
	if (took_ms < RATE_SURE_MS && line->delivery > 0 && line->delivery < measured)
		measured = line->delivery;
	rate->rate = measured > 0 ? measured : 1;
	rate->measured_ms = now_ms;
	rate->sure = took_ms >= RATE_SURE_MS || (rate->sure && rate->rate > 0);
}

void rate_busy(struct rate *rate, int fd, int64_t now_ms)
{
	struct rate_line line;

	if (rate->n > 0 && now_ms - rate->points[rate->n - 1].at_ms < every_ms(rate))
		return;
	if (!rate_ask(fd, &line))
		return;
	rate_add(rate, &line, now_ms);
	if (rate->rate > 0) {
		uint64_t span = rate->rate * RATE_FRAME_MS / 1000;

		set_lowat(rate, fd, span < 4096 ? 4096 : span > 16384 ? 16384 : (uint32_t)span);
	}
}

void rate_dry(struct rate *rate)
{
	free(rate->points);
	rate->points = NULL;
	rate->n = 0;
}

static uint64_t known(const struct rate *rate, int64_t now_ms)
{
	return now_ms - rate->measured_ms < RATE_STALE_MS ? rate->rate : 0;
}

size_t rate_small_max(const struct rate *rate, int64_t now_ms)
{
	uint64_t span = known(rate, now_ms) * RATE_FRAME_MS / 1000;

	if (known(rate, now_ms) == 0)
		return rate->near_ ? RATE_SMALL_MAX : RATE_SMALL_MAX / 4;
	if (span < RATE_SMALL_MIN)
		return RATE_SMALL_MIN;
	return span > RATE_SMALL_MAX ? RATE_SMALL_MAX : (size_t)span & ~(size_t)255;
}

size_t rate_batch(const struct rate *rate, int64_t now_ms)
{
	uint64_t span = known(rate, now_ms) * RATE_FRAME_MS / 1000;

	if (rate_slow(rate, now_ms))
		return rate_small_max(rate, now_ms) / 4;
	if (span < RATE_SMALL_MAX || !rate->sure)
		return RATE_SMALL_MAX;
	return span > RATE_BATCH_MAX ? RATE_BATCH_MAX : (size_t)span;
}

bool rate_slow(const struct rate *rate, int64_t now_ms)
{
	uint64_t rate_known = known(rate, now_ms);

	return rate_known > 0 && rate_known * RATE_FRAME_MS / 1000 < RATE_SMALL_MAX;
}
