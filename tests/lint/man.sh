#!/bin/sh
# man.sh - mandoc finds nothing to say about the manual pages.
set -u
cd "$(dirname "$0")/../.." || exit 2
command -v mandoc >/dev/null 2>&1 || { echo "skip man: mandoc is not installed"; exit 0; }
bad=0
for page in man/*.[1-8]; do
	[ -e "$page" ] || { echo "skip man: no manual page yet"; exit 0; }
	# references to pages of other packages need not be installed here
	words=$(mandoc -T lint -W warning "$page" 2>&1 | grep -v 'referenced manual not found')
	if [ -n "$words" ]; then
		echo "$words" | sed 's/^/    /'
		echo "FAIL man: $page"
		bad=1
	else
		echo "ok man: $page"
	fi
done
exit "$bad"
