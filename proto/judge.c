#include "proto/judge.h"

#include <jansson.h>
#include <stdio.h>

void judge_memory(judge_alloc_fn *alloc, judge_free_fn *release)
{
	json_set_alloc_funcs(alloc, release);
	json_object_seed(0);
}

bool judge_memory_is(judge_alloc_fn *alloc)
{
	json_malloc_t now;

	json_get_alloc_funcs(&now, NULL);
	return now == alloc;
}

static int code_of(const json_error_t *error)
{
	switch (json_error_code(error)) {
	case json_error_out_of_memory:
		return NX_ENOMEM;
	case json_error_stack_overflow:
		return NX_EDEPTH;
	case json_error_invalid_utf8:
		return NX_EUTF8;
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return NX_ENUL;
	case json_error_duplicate_key:
		return NX_EDUPKEY;
	default:
		/* half a surrogate pair in \u escapes: a letter that UTF-8 cannot hold */
		return strncmp(error->text, "invalid Unicode", 15) == 0 ? NX_EUTF8 : NX_EJSON;
	}
}

int judge(struct slice json, struct judgement *ret)
{
	json_error_t error = { .line = 0 };
	json_t *tree = json_loadb((const char *)json.p, json.n, JSON_REJECT_DUPLICATES, &error);

	*ret = (struct judgement){ .line = error.line, .octet = error.position };
	if (tree != NULL) {
		json_decref(tree);
		return 0;
	}
	(void)snprintf(ret->words, sizeof(ret->words), "%s", error.text);
	ret->large = json_error_code(&error) == json_error_numeric_overflow;
	return code_of(&error);
}
