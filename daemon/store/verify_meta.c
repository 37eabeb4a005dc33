/* --verify-store, over the rows of meta in both environments: what the next start would mend */
#include "store/items_meta.h"
#include "store/photos_meta.h"
#include "store/verify.h"

static void of_items(struct verify *verify)
{
	struct why why = { 0 };
	struct meta_look look;
	int r = meta_look(&verify->items, NULL, "", &look, &why);

	if (r == NX_ENOMEM)
		verify->r = r;
	else if (r < 0)
		verify_fault(verify, "meta: %s", why.words[0] != '\0' ? why.words : nx_word(r));
	for (unsigned i = 0; r == 0 && i < look.faults_n; i++)
		verify_fault(verify, "meta row %s: damaged", look.faults[i].key);
	meta_look_done(&look);
}

static void of_photos(struct verify *verify)
{
	struct photos_look look;
	struct why why = { 0 };
	int r = photos_look(&verify->photos, &verify->items, "photos", &look, &why);

	if (r == NX_ENOMEM)
		verify->r = r;
	else if (r < 0)
		verify_fault(verify, "photos meta: %s",
			     why.words[0] != '\0' ? why.words : nx_word(r));
	for (unsigned i = 0; r == 0 && i < look.faults_n; i++)
		verify_fault(verify, "photos meta row %s: damaged", look.faults[i].key);
	photos_look_done(&look);
}

void verify_all_meta(struct verify *verify)
{
	verify_begin(verify);
	of_items(verify);
	of_photos(verify);
	verify_end(verify);
}
