#!/bin/sh
# format.sh - the sources stand as .clang-format says (make format mends it).
set -u
cd "$(dirname "$0")/../.." || exit 2
command -v clang-format >/dev/null 2>&1 || { echo "skip format: clang-format is not installed"; exit 0; }
sources=$(find proto daemon client tests -name '*.[ch]' | sort)
# shellcheck disable=SC2086 # a list of names
words=$(clang-format --dry-run -Werror $sources 2>&1)
status=$?
if [ "$status" -ne 0 ]; then
	echo "$words" | sed -n 's/^\([^: ]*\.[ch]\):[0-9].*/    \1/p' | sort | uniq -c
	echo "FAIL format: make format would change these"
	exit 1
fi
echo "ok format"
