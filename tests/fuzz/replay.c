/*
 * replay.c - a main for fuzz targets without libFuzzer: every file of the folders and files that
 * are named.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* a target may have one, as with libFuzzer */
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static unsigned replayed;

static int replay(const char *path)
{
	FILE *in = fopen(path, "rb");
	uint8_t *data = NULL;
	struct stat st;
	int r = -1;

	if (in == NULL || stat(path, &st) < 0)
		goto out;
	data = malloc((size_t)st.st_size + 1); /* one more: malloc(0) may be NULL */
	if (data == NULL || fread(data, 1, (size_t)st.st_size, in) != (size_t)st.st_size)
		goto out;
	/* so that a sanitizer sees a read behind the end */
	if (st.st_size > 0)
		data = realloc(data, (size_t)st.st_size);
	printf("%s\n", path);
	fflush(stdout); /* when it crashes this is the last line */
	LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	replayed++;
	r = 0;
out:
	if (r < 0)
		printf("FAIL %s: cannot be read\n", path);
	free(data);
	if (in)
		fclose(in);
	return r;
}

static int replay_folder(const char *path)
{
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort), r = 0;
	char file[4096];

	if (n < 0)
		return replay(path);
	for (int i = 0; i < n; i++) {
		snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.' && replay(file) < 0)
			r = -1;
		free(names[i]);
	}
	free(names);
	return r;
}

int main(int argc, char **argv)
{
	int r = 0;

	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		if (replay_folder(argv[i]) < 0)
			r = -1;
	if (r == 0)
		printf("%s %s: %u inputs\n", replayed ? "ok" : "FAIL", argv[0], replayed);
	return r == 0 && replayed ? EXIT_SUCCESS : EXIT_FAILURE;
}
