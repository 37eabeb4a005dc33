/* uses: daemon/config */
/*
 * fuzz_settings.c - any octets as a configuration: never a crash, and libconfuse reads what we let
 * through just as we do.
 */
#include <stdio.h>
#include <stdlib.h>

#include "config/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf *conf = NULL;
	struct why why = { 0 };
	char first[2];
	int r = conf_read_octets("fuzz.conf", slice_of(data, size), &conf, &why);

	if (r == 0 && (conf == NULL || conf->listen_address.n == 0))
		abort();
	if (r < 0 && (conf != NULL || why.words[0] == '\0'))
		abort();
	if (sscanf(why.words, "fuzz.conf:%*u: libconfuse %1s", first) == 1)
		abort(); /* our check and libconfuse differ */
	conf_free(&conf);
	return 0;
}
