#!/bin/sh
# format.sh - the sources stand as .clang-format says (make format mends it).
set -u
cd "$(dirname "$0")/../.." || exit 2
command -v clang-format >/dev/null 2>&1 || { echo "skip format: clang-format is not installed"; exit 0; }
bad=
for source in $(find proto daemon client tests -name '*.[ch]' | sort); do
	clang-format --dry-run -Werror "$source" >/dev/null 2>&1 || bad="$bad $source"
done
if [ -n "$bad" ]; then
	echo "FAIL format: make format would change$bad"
	exit 1
fi
echo "ok format"
