#!/bin/sh
# deps.sh - which Debian packages are missing? deps.sh build|check|fuzz. Quiet when none is.
# As root it installs them; otherwise it says the command and fails.
set -u
want=${1:-build}

libraries='event2/event.h=libevent-dev openssl/ssl.h=libssl-dev jansson.h=libjansson-dev lmdb.h=liblmdb-dev
	confuse.h=libconfuse-dev'
tools='cc=gcc make=make ar=binutils python3=python3'
if [ "$want" != build ]; then
	libraries="$libraries cmocka.h=libcmocka-dev"
	tools="$tools mandoc=mandoc openssl=openssl timeout=coreutils ip=iproute2"
fi
if [ "$want" = fuzz ]; then
	tools="$tools ${CLANG:-clang}=clang"
fi

missing=
for tool in $tools; do
	command -v "${tool%%=*}" >/dev/null 2>&1 || missing="$missing ${tool#*=}"
done
# the compiler knows best where headers lie; all of them at once, one by one only when that fails
has() {
	{
		printf '#include <stdarg.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <setjmp.h>\n'
		for library; do printf '#include <%s>\n' "${library%%=*}"; done
	} | cc -E -x c - >/dev/null 2>&1
}
command -v cc >/dev/null 2>&1 || missing="$missing libc6-dev"
# shellcheck disable=SC2086 # a list of words
if ! has $libraries; then
	for library in $libraries; do
		has "$library" || [ -e "/usr/include/${library%%=*}" ] || missing="$missing ${library#*=}"
	done
fi
if [ "$want" = fuzz ] && command -v "${CLANG:-clang}" >/dev/null 2>&1; then
	version=$("${CLANG:-clang}" -dumpversion | cut -d. -f1)
	[ -n "$(find "$(${CLANG:-clang} -print-resource-dir)/lib" -name 'libclang_rt.fuzzer-*' 2>/dev/null)" ] ||
		missing="$missing libfuzzer-$version-dev libclang-rt-$version-dev"
fi
# what single tests want: they are skipped without, so each may fail to come. A container for the service, a disk
# whose blocks fail
wanted='systemd-nspawn=systemd-container strace=strace nbdkit=nbdkit nbdfuse=libnbd-bin valgrind=valgrind'
if [ "$want" = check ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
	for tool in $wanted; do
		command -v "${tool%%=*}" >/dev/null 2>&1 && continue
		DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${tool#*=}" \
			>/dev/null 2>&1 || echo "no ${tool#*=}: its tests will be skipped"
	done
fi
[ -n "$missing" ] || exit 0

echo "missing Debian packages:$missing"
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "install them with: sudo apt-get install$missing"
	exit 1
fi
echo "installing them"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of words
apt-get install -y -q --no-install-recommends $missing ||
	{ apt-get update -q && apt-get install -y -q --no-install-recommends $missing; }
