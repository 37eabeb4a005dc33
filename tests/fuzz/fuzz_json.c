/* uses: proto */
/* Any octets as JSON: our pass says of them what jansson says, and reads out of them the same. */
#include "../unit/proto/beside.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const char front[] = "{\"x\":";
	char *whole = malloc(sizeof(front) + n);

	MUST(whole != NULL);
	(void)beside(slice_of(p, n));
	/* most of what a fuzzer finds is no object: it is the value of one, too */
	memcpy(whole, front, sizeof(front) - 1);
	if (n > 0)
		memcpy(whole + sizeof(front) - 1, p, n);
	whole[sizeof(front) - 1 + n] = '}';
	(void)beside(slice_of(whole, sizeof(front) + n));
	free(whole);
	return 0;
}
