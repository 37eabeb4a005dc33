#!/bin/sh
# headers.sh - every header opens with a comment that begins with its own name, and is read once.
set -u
cd "$(dirname "$0")/../.." || exit 2
bad=0
for header in $(find proto daemon client tests -name '*.h' | sort); do
	[ "$(sed -n 1p "$header")" = '/*' ] && sed -n 2p "$header" | grep -q "^ \* ${header##*/} - " || {
		echo "FAIL headers: $header does not open with '/*' and ' * ${header##*/} - what it is'"
		bad=1
	}
	grep -q '^#pragma once$' "$header" || {
		echo "FAIL headers: $header has no #pragma once"
		bad=1
	}
done
[ "$bad" -eq 0 ] && echo "ok headers"
exit "$bad"
