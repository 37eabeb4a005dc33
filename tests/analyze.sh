#!/bin/sh
# analyze.sh - what reads the code without running it: gcc -fanalyzer, clang-tidy, cppcheck. `make analyze`.
#
# Over proto, daemon and client; a finding is answered in the code, or its check is off with the reason beside it (here
# and in .clang-tidy). A tool that is missing is skipped. The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 2
jobs=${JOBS:-$(nproc 2>/dev/null || echo 2)}
flags='-std=gnu17 -D_GNU_SOURCE -DNEWSXD_VERSION="0" -I. -Idaemon'
out=$(mktemp "${TMPDIR:-/tmp}/newsxd-analyze.XXXXXX") || exit 2
trap 'rm -f "$out"' EXIT
trap 'exit 130' INT TERM
passed=0 failed=0
export flags

each() { # a shell command over every source, as $f
	find proto daemon client -name '*.c' | sort | xargs -P "$jobs" -n 1 sh -c "f=\$0; set -f; $1"
}

# leaks: gcc 12 loses what is put into an array of structs; LeakSanitizer and valgrind look for them in running programs
gcc_analyzer() {
	each 'gcc $flags -O1 -fanalyzer -Wno-analyzer-malloc-leak -Werror -c -o /dev/null "$f" 2>&1'
}

clang_tidy() {
	each 'clang-tidy --quiet "$f" -- $flags 2>&1 | grep -vE "^[0-9]+ warnings? generated"'
	! grep -qE '(error|warning): ' "$out"
}

# syntaxError: it does not follow the macros that close a list of fields of a log line; uninitvar, uninitdata: it takes
# the address of what is about to be filled for its value; shiftTooManyBitsSigned: gcc and clang define what we shift
cpp_check() {
	# shellcheck disable=SC2086 # words
	cppcheck --quiet --error-exitcode=1 -j "$jobs" --enable=warning,performance,portability \
		--suppress=syntaxError --suppress=uninitvar --suppress=uninitdata --suppress=shiftTooManyBitsSigned \
		${flags#-std=gnu17} --std=c11 proto daemon client 2>&1
}

step() { # name, tool, function
	if ! command -v "$2" >/dev/null 2>&1; then
		echo "skip $1: $2 is not installed"
		return
	fi
	begin=$(date +%s)
	if "$3" >"$out"; then
		passed=$((passed + 1))
		echo "ok   $1 ($(($(date +%s) - begin)) s)"
	else
		failed=$((failed + 1))
		echo "FAIL $1"
		sed 's/^/    /' "$out"
	fi
}

step gcc-analyzer gcc gcc_analyzer
step clang-tidy clang-tidy clang_tidy
step cppcheck cppcheck cpp_check
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
