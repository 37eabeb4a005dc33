#!/bin/sh
# hardening.sh - what the linker and the compiler left in both programs: no fixed address, no table of
# functions that can be written, nothing both writable and executable, canaries, checked string functions,
# and a stack that grows page by page.
set -u
cd "$(dirname "$0")/../.." || exit 2
: "${B:=build}"
[ -x "$B/newsxd" ] && [ -x "$B/newsxctl" ] || { echo "skip hardening: nothing is built in $B"; exit 0; }
[ -z "${SAN:-}" ] || { echo "skip hardening: sanitizers are no product"; exit 0; }

faults=0
fault() {
    echo "    $1"
    faults=$((faults + 1))
}
for program in "$B/newsxd" "$B/newsxctl"; do
    readelf -hW "$program" | grep -q 'Type:.*DYN' || fault "$program has a fixed address (no PIE)"
    readelf -dW "$program" | grep -q 'Flags:.*NOW' || fault "$program binds late (no -z now)"
    readelf -lW "$program" | grep -q 'GNU_RELRO' || fault "$program has no RELRO"
    readelf -lW "$program" | grep -q 'GNU_STACK .* RW ' || fault "$program has an executable stack"
    readelf -lW "$program" | grep -q 'LOAD .* RWE ' && fault "$program has a segment to write and to execute"
    readelf -sW --dyn-syms "$program" | grep -q '__stack_chk_fail' || fault "$program has no canaries"
    readelf -sW --dyn-syms "$program" | grep -q '__snprintf_chk' || fault "$program has no _FORTIFY_SOURCE"
    # gcc touches each page of a large frame with this instruction; clang's cannot be told from others
    case $(uname -m)$(readelf -p .comment "$program") in
    *clang*) ;;
    x86_64*) objdump -d "$program" | grep -q 'orq .*$0x0,(%rsp)' ||
        fault "$program may step over the guard page (no -fstack-clash-protection)" ;;
    esac
done
[ "$faults" -eq 0 ] || { echo "FAIL hardening: $faults fault(s)"; exit 1; }
echo "ok hardening: 2 programs"
