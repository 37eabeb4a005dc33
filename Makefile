# newsxd - build, check, fuzz, install. `make` builds build/newsxd and build/newsxctl.
# B=DIR builds elsewhere; SAN=1, TSAN=1 and WERROR=1 do what they say, each in a tree of its own.

VERSION := 0.1.0
comma   := ,
SAN     ?=
TSAN    ?=
WERROR  ?=
BASE_B  ?= build
B       ?= $(BASE_B)$(if $(SAN),-san)$(if $(TSAN),-tsan)

CC      ?= cc
CLANG   ?= clang
PREFIX  ?= /usr/local
DESTDIR ?=
SYSCONFDIR ?= /etc

STD     := -std=gnu17
WARN    := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2
HARDEN  := -fstack-protector-strong -fstack-clash-protection -fPIE
ifeq ($(SAN)$(TSAN),)
OPT     ?= -O2 -g -D_FORTIFY_SOURCE=2
else
OPT     ?= -O1 -g -fno-omit-frame-pointer
endif
SANFLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined -DFAULTS) \
            $(if $(TSAN),-fsanitize=thread -DFAULTS)
CFLAGS  ?=
ALL_CFLAGS = $(STD) $(OPT) $(WARN) $(HARDEN) $(if $(WERROR),-Werror) $(SANFLAGS) -D_GNU_SOURCE \
             -DNEWSXD_VERSION='"$(VERSION)"' -I. -Idaemon $(CFLAGS)
LDFLAGS ?= -pie -Wl,-z,relro,-z,now
ALL_LDFLAGS = $(LDFLAGS) $(SANFLAGS)

# ---- the rooms, and what each stands on. A test links its room and what is listed here, nothing more.
ROOMS := proto daemon/base daemon/news daemon/config daemon/store daemon/net daemon/core client
uses.proto         :=
uses.daemon/base   := proto
uses.daemon/news   := daemon/base proto
uses.daemon/config := daemon/base proto
uses.daemon/store  := daemon/news daemon/base proto
uses.daemon/net    := daemon/base proto
uses.daemon/core   := daemon/store daemon/net daemon/config daemon/news daemon/base proto
uses.client        := daemon/news daemon/base proto
libs.proto         := -ljansson
libs.daemon/base   := -lcrypto
libs.daemon/news   :=
libs.daemon/config := -lconfuse
libs.daemon/store  := -llmdb -lpthread
libs.daemon/net    := -levent_core -lssl -lcrypto
libs.daemon/core   :=
libs.client        := -lssl -lcrypto

src   = $(filter-out client/newsxctl.c,$(sort $(wildcard $(1)/*.c)))
obj   = $(patsubst %.c,$(B)/%.o,$(1))
lib   = $(B)/$(1)/room.a
rooms = $(1) $(uses.$(1))
libs  = $(foreach r,$(call rooms,$(1)),$(libs.$(r)))

all: $(B)/newsxd $(B)/newsxctl

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(if $(filter proto/%,$<),-Wconversion) -MMD -MP -c -o $@ $<

define room_rule
$(call lib,$(1)): $(call obj,$(call src,$(1)))
	@mkdir -p $$(@D)
	@rm -f $$@
	ar rcsD $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call room_rule,$(r))))

DAEMON_ROOMS := daemon/core $(uses.daemon/core)
$(B)/newsxd: $(call obj,$(sort $(wildcard daemon/*.c))) $(foreach r,$(DAEMON_ROOMS),$(call lib,$(r)))
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(sort $(call libs,daemon/core))

$(B)/newsxctl: $(B)/client/newsxctl.o $(foreach r,$(call rooms,client),$(call lib,$(r)))
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(sort $(call libs,client))

# ---- unit tests: tests/unit/ROOM/test_*.c is a cmocka program linked with ROOM and what is beneath it
UNIT_SRC := $(foreach r,$(ROOMS),$(sort $(wildcard tests/unit/$(r)/test_*.c)))
UNIT_BIN := $(patsubst %.c,$(B)/%,$(UNIT_SRC))
define unit_rule
$(patsubst %.c,$(B)/%,$(wildcard tests/unit/$(1)/test_*.c)): $(B)/%: $(B)/%.o \
		$(foreach r,$(call rooms,$(1)),$(call lib,$(r)))
	$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $(sort $(call libs,$(1))) -lcmocka
endef
$(foreach r,$(ROOMS),$(if $(wildcard tests/unit/$(r)/test_*.c),$(eval $(call unit_rule,$(r)))))

unit: $(UNIT_BIN)

-include tests/tests.mk
-include deb/deb.mk

-include $(shell find $(B) -name '*.d' -type f 2>/dev/null)

clean:
	rm -rf build build-*

.PHONY: all unit clean
.DEFAULT_GOAL := all
.SECONDARY:
