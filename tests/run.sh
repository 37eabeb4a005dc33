#!/bin/sh
# run.sh PROGRAM... - run each under a time limit, say one line about it, count its test cases.
#
# Understands cmocka ("[  PASSED  ] 3 test(s)."), lines "ok NAME", "FAIL NAME: why", "skip NAME: why", and
# another runner's own last line "N passed, N failed". A program that ends badly without a failed test counts
# as one failed; so does one in which no test ran. Environment: B, TEST_S, SYSTEM_S.
set -u
cd "$(dirname "$0")/.." || exit 2
: "${B:=build}" "${TEST_S:=120}" "${SYSTEM_S:=1800}"
export B
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0}"
# a race ends the program at once, in words; what is not ours is listed with its reason
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1:exitcode=66:second_deadlock_stack=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
scratch=$(mktemp -d "${TMPDIR:-/tmp}/newsxd-run.XXXXXX") || exit 2
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
out=$scratch/out
passed=0 failed=0

run() { # one program as its kind wants it
	case $1 in
	*.sh) timeout -k 10 "$TEST_S" sh "$1" ;;
	*.py) timeout -k 10 "$SYSTEM_S" python3 "$1" ;;
	*/tests/fuzz/fuzz_*) timeout -k 10 "$TEST_S" "$1" "tests/fuzz/corpus/${1##*/fuzz_}" ;;
	*) timeout -k 10 "$TEST_S" "$1" ;;
	esac
}

count() { # passed failed skipped, out of $out
	awk '
		/^[0-9]+ passed, [0-9]+ failed/ { p = $1; f = $3; own = 1 }
		own { next }
		/^\[  PASSED  \] [0-9]+ test/ { p += $4 }
		/^\[  FAILED  \] [0-9]+ test/ { f += $4 }
		/^\[  SKIPPED \] [0-9]+ test/ { s += $4 }
		/^ok / { p++ }
		/^FAIL / { f++ }
		/^skip / { s++ }
		END { print p + 0, f + 0, s + 0 }
	' "$out"
}

for program; do
	begin=$(date +%s)
	run "$program" >"$out" 2>&1 </dev/null
	status=$?
	took=$(($(date +%s) - begin))
	# shellcheck disable=SC2046 # three numbers
	set -- $(count)
	p=$1 f=$2 s=$3 words=
	if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then
		f=1
		words=" (exit status $status)"
		[ "$status" -ne 124 ] && [ "$status" -ne 137 ] || words=" (out of time)"
	elif [ "$p" -eq 0 ] && [ "$f" -eq 0 ] && [ "$s" -eq 0 ]; then
		f=1
		words=" (no test ran)"
	fi
	passed=$((passed + p)) failed=$((failed + f))
	name=${program#"$B"/}
	if [ "$f" -gt 0 ]; then
		echo "FAIL $name: $p passed, $f failed$words, ${took}s"
		sed 's/^/    /' "$out"
	else
		echo "ok   $name: $p passed$([ "$s" -eq 0 ] || echo ", $s skipped"), ${took}s"
		grep '^skip ' "$out" | sed 's/^/    /'
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
