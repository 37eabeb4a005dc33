#!/bin/sh
# build.sh STAGE OUT - what Debian wants beside what install has staged, then two packages: newsxd, and newsxctl for
# machines that only publish and receive.
set -eu
stage=$1 out=$2
here=$(dirname "$0")
# the same octets from the same source: its time is that of the last commit, or of the list of changes
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGES.md)}
who="${DEBFULLNAME:-newsxd maintainers} <${DEBEMAIL:-root@localhost}>"

documents() { # PACKAGE ROOT
	doc=$2/usr/share/doc/$1
	install -d "$doc" "$2/usr/share/lintian/overrides"
	install -m 0644 LICENSE "$doc/copyright"
	gzip -9nc CHANGES.md >"$doc/CHANGES.md.gz"
	printf '%s (%s) unstable; urgency=medium\n\n  * What is new stands in CHANGES.md.gz.\n\n -- %s  %s\n' "$1" \
		"$DEB_VERSION" "$who" "$(LC_ALL=C date -u -d "@$epoch" '+%a, %d %b %Y %H:%M:%S +0000')" |
		gzip -9nc >"$doc/changelog.gz"
	chmod 0644 "$doc"/*.gz
}

finish() { # PACKAGE ROOT
	install -d "$2/DEBIAN"
	size=$(du -sk --exclude=DEBIAN "$2" | cut -f1)
	sed "s/@VERSION@/$DEB_VERSION/g; s/@ARCH@/$DEB_ARCH/; s/@SIZE@/$size/; s|@WHO@|$who|" "$here/$1.control.in" \
		>"$2/DEBIAN/control"
	(cd "$2" && find . -path ./DEBIAN -prune -o -type f ! -path './etc/*' -printf '%P\0' | sort -z |
		xargs -0 md5sum >DEBIAN/md5sums)
	find "$2" -exec touch -hd "@$epoch" {} +
	SOURCE_DATE_EPOCH=$epoch dpkg-deb --root-owner-group --build "$2" "$out/$1_${DEB_VERSION}_$DEB_ARCH.deb"
}

find "$stage/usr/share/man" -type f ! -name '*.gz' -exec gzip -9n {} +
strip --strip-unneeded -R .comment "$stage/usr/bin/newsxctl" "$stage/usr/sbin/newsxd"

client=$stage-newsxctl
rm -rf "$client"
install -D -m 0755 "$stage/usr/bin/newsxctl" "$client/usr/bin/newsxctl"
install -D -m 0644 "$stage/usr/share/man/man1/newsxctl.1.gz" "$client/usr/share/man/man1/newsxctl.1.gz"
documents newsxctl "$client"
rmdir -p --ignore-fail-on-non-empty "$client/usr/share/lintian/overrides"
finish newsxctl "$client"
rm -rf "$client"

install -m 0644 "$here/newsxd.conf" "$stage/etc/newsxd/newsxd.conf"
documents newsxd "$stage"
install -d "$stage/usr/share/doc/newsxd/examples"
mv "$stage/usr/share/doc/newsxd/newsxd.conf" "$stage/usr/share/doc/newsxd/examples/newsxd.conf"
install -m 0644 "$here/overrides" "$stage/usr/share/lintian/overrides/newsxd"
install -d "$stage/DEBIAN"
echo /etc/newsxd/newsxd.conf >"$stage/DEBIAN/conffiles"
for script in postinst prerm postrm; do
	install -m 0755 "$here/$script" "$stage/DEBIAN/$script"
done
finish newsxd "$stage"
