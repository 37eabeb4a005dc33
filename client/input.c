#include "client/input.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define READ_SIZE (64 << 10)

void input_init(struct input *input, char *const *files, unsigned n, const char *channel, int in)
{
	memset(input, 0, sizeof(*input));
	input->files = files;
	input->files_n = n;
	input->channel = channel;
	input->in = in;
	buf_init(&input->lines, OUTBOX_DOCUMENT_MAX + READ_SIZE + 1);
}

void input_done(struct input *input)
{
	buf_done(&input->lines);
}

/* the length of the first line with its end, 0 when there is none yet */
static size_t whole_line(struct input *input)
{
	struct slice all = buf_slice(&input->lines);
	const uint8_t *end = all.n > input->looked
				     ? memchr(all.p + input->looked, '\n', all.n - input->looked)
				     : NULL;

	if (end != NULL)
		return (size_t)(end - all.p) + 1;
	input->looked = all.n;
	return input->in_over ? all.n : 0;
}

static void take(struct input *input, size_t n)
{
	buf_take(&input->lines, n);
	input->looked = 0;
	/* a buffer that was emptied starts at its front again */
	if (buf_len(&input->lines) == 0)
		buf_clear(&input->lines);
}

static bool is_blank(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != ' ' && s.p[i] != '\t' && s.p[i] != '\r')
			return false;
	return true;
}

static int one_line(struct input *input, size_t n, struct outbox **ret, struct why *why)
{
	struct slice line = slice_of(buf_slice(&input->lines).p, n);
	bool ended = n > 0 && line.p[n - 1] == '\n', skipped = input->skipping;
	int r = 0;

	line.n -= ended ? 1 : 0;
	input->skipping = false;
	if (!skipped) {
		snprintf(input->name, sizeof(input->name), "-:%u", ++input->line);
		if (!is_blank(line))
			r = outbox_line(line, input->line, input->channel, ret, why);
		if (r == 0 && !is_blank(line))
			r = 1;
	}
	take(input, n);
	return r;
}

/* n octets of a line that is too long; ended: with its end */
static int too_long(struct input *input, size_t n, bool ended, struct why *why)
{
	bool first = !input->skipping;

	take(input, n);
	input->skipping = !ended;
	if (!first)
		return 0;
	snprintf(input->name, sizeof(input->name), "-:%u", ++input->line);
	return why_set(why, NX_EBIGDOC, "line %u has more than %d octets", input->line,
		       OUTBOX_DOCUMENT_MAX);
}

static int read_more(struct input *input, struct why *why)
{
	struct pollfd ready = { .fd = input->in, .events = POLLIN };
	uint8_t *to;
	ssize_t n;

	input->stalled = poll(&ready, 1, 0) == 0;
	if (input->stalled)
		return 0;
	to = buf_room(&input->lines, READ_SIZE);
	n = to == NULL ? -1 : read(input->in, to, READ_SIZE);

	if (n < 0 && to != NULL && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0)
		input->in_over = true;
	if (n < 0)
		return why_set(why, NX_ENOENT, "cannot read standard input: %s",
			       to == NULL ? "out of memory" : strerror(errno));
	buf_commit(&input->lines, (size_t)n);
	return 0;
}

static int next_line(struct input *input, struct outbox **ret, struct why *why)
{
	size_t n = whole_line(input);
	int r;

	if (n == 0 && !input->in_over) {
		r = read_more(input, why);
		if (r < 0)
			snprintf(input->name, sizeof(input->name), "-");
		if (r < 0)
			return r;
		n = whole_line(input);
	}
	if (n > 0 && n <= OUTBOX_DOCUMENT_MAX + 1)
		return one_line(input, n, ret, why);
	if (n > 0)
		return too_long(input, n, true, why);
	if (buf_len(&input->lines) > OUTBOX_DOCUMENT_MAX + 1)
		return too_long(input, buf_len(&input->lines), false, why);
	if (input->in_over)
		input->reading = false;
	return 0;
}

bool input_over(const struct input *input)
{
	return !input->reading && input->next == input->files_n;
}

int input_waits(const struct input *input)
{
	return input->reading && !input->in_over ? input->in : -1;
}

/* one step: 1, negative, or 0 when there is nothing yet */
static int step(struct input *input, struct outbox **ret, struct why *why)
{
	const char *file;
	int r;

	if (input->reading)
		return next_line(input, ret, why);
	file = input->files[input->next++];
	snprintf(input->name, sizeof(input->name), "%s", file);
	if (strcmp(file, "-") == 0) {
		input->reading = !input->in_over;
		return 0;
	}
	r = outbox_file(file, input->channel, ret, why);
	return r < 0 ? r : 1;
}

int input_next(struct input *input, struct outbox **ret, struct why *why)
{
	int r = 0;

	input->stalled = false;
	while (r == 0 && !input->stalled && !input_over(input))
		r = step(input, ret, why);
	return r;
}
