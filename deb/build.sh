#!/bin/sh
# build.sh STAGE OUT - what Debian wants beside what install has staged, then the package.
set -eu
stage=$1 out=$2
here=$(dirname "$0")
doc=$stage/usr/share/doc/newsxd
epoch=${SOURCE_DATE_EPOCH:-0}

install -m 0644 "$here/newsxd.conf" "$stage/etc/newsxd/newsxd.conf"
install -d "$doc/examples"
mv "$doc/newsxd.conf" "$doc/examples/newsxd.conf"
install -m 0644 LICENSE "$doc/copyright"
gzip -9nc CHANGES.md >"$doc/changelog.gz"
find "$stage/usr/share/man" -type f ! -name '*.gz' -exec gzip -9n {} +
strip --strip-unneeded "$stage/usr/bin/newsxctl" "$stage/usr/sbin/newsxd"

install -d "$stage/DEBIAN"
size=$(du -sk --exclude=DEBIAN "$stage" | cut -f1)
sed "s/@VERSION@/$DEB_VERSION/; s/@ARCH@/$DEB_ARCH/; s/@SIZE@/$size/" "$here/control.in" >"$stage/DEBIAN/control"
echo /etc/newsxd/newsxd.conf >"$stage/DEBIAN/conffiles"
for script in postinst prerm postrm; do
	install -m 0755 "$here/$script" "$stage/DEBIAN/$script"
done
(cd "$stage" && find . -path ./DEBIAN -prune -o -type f ! -path './etc/*' -printf '%P\0' | sort -z |
	xargs -0 md5sum >DEBIAN/md5sums)
find "$stage" -exec touch -hd "@$epoch" {} +
SOURCE_DATE_EPOCH=$epoch dpkg-deb --root-owner-group --build "$stage" "$out/newsxd_${DEB_VERSION}_$DEB_ARCH.deb"
