#!/bin/sh
# fuzz.sh NAME... - run each libFuzzer target for FUZZ_S seconds. What it finds on the way stays in the build
# tree; tests/fuzz/corpus/NAME is only read. Ends with "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 2
: "${B:=build-fuzz}" "${FUZZ_S:=60}"
passed=0 failed=0
for name; do
	grown=$B/corpus/$name log=$B/fuzz_$name.log seed=tests/fuzz/corpus/$name
	mkdir -p "$grown" "$B/found"
	[ -d "$seed" ] || seed=
	dict=tests/fuzz/$name.dict
	[ -e "$dict" ] && dict=-dict=$dict || dict=
	# shellcheck disable=SC2086 # either may be nothing
	if "$B/tests/fuzz/fuzz_$name.fuzz" -max_total_time="$FUZZ_S" -timeout=10 -rss_limit_mb=2048 \
		-max_len=65536 -artifact_prefix="$B/found/$name-" -print_final_stats=1 $dict \
		"$grown" $seed >"$log" 2>&1; then
		passed=$((passed + 1))
		echo "ok   $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs in $FUZZ_S s"
	else
		failed=$((failed + 1))
		echo "FAIL $name: see $log; what did it lies in $B/found"
		grep -v '^#' "$log" | tail -40 | sed 's/^/    /'
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
