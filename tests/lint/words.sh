#!/bin/sh
# words.sh - words that do not belong here: marks of unfinished work, paths of somebody's machine.
set -u
cd "$(dirname "$0")/../.." || exit 2
todo='TO''DO|FIX''ME|(^|[^X])XX''X([^X]|$)'
paths='/wo''rk/|/ho''me/[a-z]|/Us''ers/'
bad=0
files=$(find . \( -path ./.git -o -path './build*' -o -name __pycache__ -o -path ./tests/fuzz/corpus \) -prune \
	-o -type f ! -name '*.jpg' ! -name '*.png' ! -name '*.pyc' -print)
for kind in "$todo" "$paths"; do
	# shellcheck disable=SC2086 # a list of names
	words=$(grep -nE "$kind" $files)
	[ -z "$words" ] || { echo "$words" | cut -c1-160 | sed 's/^/    /'; bad=1; }
done
if [ "$bad" -ne 0 ]; then
	echo "FAIL words: marks of unfinished work, or paths of one machine"
	exit 1
fi
echo "ok words"
