# deb.mk - `make deb` builds $(DEB_OUT)/newsxd_VERSION_ARCH.deb, and newsxctl_... for machines that only publish and
# receive: staged by install, put together by dpkg-deb alone. DEB_VERSION=... for a version of your own; DEBFULLNAME and
# DEBEMAIL say whose package it is.

DEB_VERSION ?= $(VERSION)
DEB_ARCH     = $(shell dpkg --print-architecture 2>/dev/null)
DEB_OUT     ?= $(B)
DEB_STAGE    = $(DEB_OUT)/deb

deb: all
	@command -v dpkg-deb >/dev/null || { echo "dpkg-deb is missing: apt-get install dpkg"; exit 1; }
	rm -rf $(DEB_STAGE)
	@$(MAKE) --no-print-directory -s install DESTDIR=$(DEB_STAGE) PREFIX=/usr SYSCONFDIR=/etc
	DEB_VERSION=$(DEB_VERSION) DEB_ARCH=$(DEB_ARCH) sh deb/build.sh $(DEB_STAGE) $(DEB_OUT)
	@rm -rf $(DEB_STAGE)

.PHONY: deb
