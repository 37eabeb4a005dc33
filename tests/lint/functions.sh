#!/bin/sh
# functions.sh - no function of the product is longer than 80 lines.
set -u
cd "$(dirname "$0")/../.." || exit 2
bad=0
if ! ctags --version 2>/dev/null | grep -q Universal; then
	echo "skip functions: universal-ctags is not installed"
	exit "$bad"
fi
long=$(find proto daemon client -name '*.c' | sort | xargs ctags -f - --kinds-C=f --fields=ne |
	awk -F '\t' '{
		line = end = 0
		for (i = 4; i <= NF; i++) {
			if ($i ~ /^line:/) line = substr($i, 6)
			if ($i ~ /^end:/) end = substr($i, 5)
		}
		if (end - line + 1 > 80)
			printf "    %s:%d: %s() has %d lines\n", $2, line, $1, end - line + 1
	}')
if [ -n "$long" ]; then
	echo "$long"
	echo "FAIL functions: longer than 80 lines"
	bad=1
fi
[ "$bad" -eq 0 ] && echo "ok functions"
exit "$bad"
