#include "client/position.h"
#include "base/hash.h"
#include "client/report.h"
#include "client/text.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_LEN                                                                                   \
	38 /* 16 hex, blank, 20 digits, newline: always as long, so that writing it again is one   \
	      sector */

static bool parse(const char line[LINE_LEN], struct position *ret)
{
	uint8_t epoch[8];

	if (line[16] != ' ' || line[37] != '\n' || !hex_to(slice_of(line, 16), epoch, 8))
		return false;
	ret->epoch = 0;
	for (int i = 0; i < 8; i++)
		ret->epoch = ret->epoch << 8 | epoch[i];
	ret->at = 0;
	for (int i = 17; i < 37; i++) {
		if (line[i] < '0' || line[i] > '9')
			return false;
		ret->at = ret->at * 10 + (uint64_t)(line[i] - '0');
	}
	return ret->at < (1ull << 53);
}

static int open_file(int dir, const char *file, int create)
{
	return openat(dir, file, O_RDWR | create | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644);
}

void position_open(int dir, const char *name, struct position *ret)
{
	char clean[FILE_NAME_MAX_], line[LINE_LEN];

	memset(ret, 0, sizeof(*ret));
	text_clean(clean, sizeof(clean), slice_str(name));
	if (strcmp(clean, name) == 0) {
		snprintf(ret->file, sizeof(ret->file), ".position-%s", name);
	} else { /* two names may be cleaned to one */
		uint8_t digest[32];
		char hex[17];

		sha256_of(name, strlen(name), digest);
		hex_of(digest, 8, hex);
		snprintf(ret->file, sizeof(ret->file), ".position-%.100s-%s", clean, hex);
	}
	ret->fd = open_file(dir, ret->file, 0);
	ret->known =
		ret->fd >= 0 && pread(ret->fd, line, LINE_LEN, 0) == LINE_LEN && parse(line, ret);
	if (!ret->known)
		ret->epoch = ret->at = 0;
}

void position_keep(struct position *position, int dir)
{
	if (position->fd < 0)
		position->fd = open_file(dir, position->file, O_CREAT);
}

void position_epoch(struct position *position, uint64_t epoch)
{
	if (position->known && position->epoch == epoch)
		return;
	if (position->known)
		report_words("the exchange was restored from a copy, or made anew: its positions "
			     "count from another start; items may come again, those that are here "
			     "are recognised");
	position->known = false;
	position->epoch = epoch;
	position->at = 0;
}

void position_note(struct position *position, uint64_t at)
{
	char line[LINE_LEN + 1];

	if (position->fd < 0 || at <= position->at || at >= (1ull << 53))
		return;
	position->known = true;
	position->at = at;
	snprintf(line, sizeof(line), "%016" PRIx64 " %020" PRIu64 "\n", position->epoch, at);
	position->dirty = pwrite(position->fd, line, LINE_LEN, 0) == LINE_LEN;
}

void position_flush(struct position *position)
{
	if (position->dirty) /* if it fails, the next flush tries again */
		position->dirty = fdatasync(position->fd) < 0;
}

void position_close(struct position *position)
{
	position_flush(position);
	if (position->fd >= 0)
		close(position->fd);
	position->fd = -1;
}
