# tests.mk - check, fuzz, lint, install, demo. Read by the Makefile; uses its rooms and lists.
#
#   make check               everything; the last line is "N passed, N failed"
#   make check-unit          one kind alone: unit, scene, fault, fuzz, system, lint
#   make check-scene ONLY=parts   programs whose name holds a word
#   make power STATES=20000  states of a power cut; make torture N=1000: kills under load; make soak MINUTES=10: a store
#                            that stays full; make mutants: daemons that break the promise must be caught.
#                            make inject: every call that writes, every allocation and every call on a socket fails in
#                            turn. FLIPS=1000 check-fault ONLY=flip: the long one of that.
#                            Each says its SEED, which repeats it
#   make analyze             gcc -fanalyzer, clang-tidy and cppcheck: none may find anything
#   make memcheck            the daemon under valgrind through a short mixed life
#   make check-threads       system tests and what has threads, under the thread sanitizer
#   make fuzz FUZZ_S=60      libFuzzer, so many seconds for each target (NAME=frame: that one)

ONLY      ?=
NAME      ?=
FUZZ_S    ?= 60
TEST_S    ?= $(if $(SAN)$(TSAN),300,120)
SYSTEM_S  ?= 1800
only       = $(if $(ONLY),$(foreach p,$(1),$(if $(findstring $(ONLY),$(patsubst $(B)/%,%,$(p))),$(p))),$(1))

# the rooms that a test names in its first line: /* uses: daemon/store */
named      = $(shell sed -n '1s,^/\* uses: \(.*\) \*/.*,\1,p' $(1))
beneath    = $(foreach r,$(1),$(call rooms,$(r)))
archives   = $(foreach r,$(1),$(B)/$(r)/room.a)
needs      = $(sort $(foreach r,$(1),$(libs.$(r))))

# ---- scenes and faults: cmocka programs over the whole daemon, or over the rooms that they name.
# What stands beside them and is no test_*.c helps them; a fake that it defines (net/conn.h, ...) goes
# before the real one on the link line.
SCENE_SRC  := $(sort $(wildcard tests/scene/test_*.c))
FAULT_SRC  := $(sort $(wildcard tests/fault/test_*.c))
SCENE_BIN  := $(patsubst %.c,$(B)/%,$(SCENE_SRC))
FAULT_BIN  := $(patsubst %.c,$(B)/%,$(FAULT_SRC))
HELP_SRC   := $(filter-out $(SCENE_SRC) $(FAULT_SRC),$(sort $(wildcard tests/scene/*.c tests/fault/*.c)))
HELP_LIB   := $(if $(HELP_SRC),$(B)/tests/helpers.a)

$(B)/tests/helpers.a: $(patsubst %.c,$(B)/%.o,$(HELP_SRC))
	@mkdir -p $(@D)
	@rm -f $@
	ar rcsD $@ $^

define scene_rule
ROOMS_OF_$(1) := $(or $(call beneath,$(call named,$(1))),$(DAEMON_ROOMS))
$(B)/$(1:.c=): $(B)/$(1:.c=.o) $(HELP_LIB) $$(call archives,$$(ROOMS_OF_$(1)))
	$$(CC) $$(ALL_LDFLAGS) -o $$@ $$(filter %.o,$$^) $(HELP_LIB) \
		$$(call archives,$$(firstword $$(ROOMS_OF_$(1)))) \
		$(HELP_LIB) $$(call archives,$$(ROOMS_OF_$(1))) $$(call needs,$$(ROOMS_OF_$(1))) -lcmocka
endef
$(foreach t,$(SCENE_SRC) $(FAULT_SRC),$(eval $(call scene_rule,$(t))))

# the power-cut test: its recorder stands before libc's own calls, so it is in no archive
POWER_SRC  := $(sort $(wildcard tests/fault/power/*.c))
STATES     ?= 20000
$(B)/tests/fault/test_power: $(patsubst %.c,$(B)/%.o,$(POWER_SRC))
power: $(B)/tests/fault/test_power
	STATES=$(STATES) $<

# what is preloaded into the daemon: a disk that stands still, an allocator that fails
SHIMS      := $(patsubst %.c,$(B)/%.so,$(sort $(wildcard tests/fault/shim/*.c)))
$(B)/tests/fault/shim/%.so: tests/fault/shim/%.c
	@mkdir -p $(@D)
	$(CC) $(STD) -O2 -Wall -Wextra -D_GNU_SOURCE -fPIC -shared -o $@ $<
shims: $(SHIMS)
N          ?= 1000
torture: all
	@B=$(B) N=$(N) python3 tests/fault/torture.py
MINUTES    ?= 10
soak: all
	@B=$(B) MINUTES=$(MINUTES) python3 tests/fault/soak.py
INJECT_S   ?= 3600
inject: all $(SHIMS)
	@B=$(B) SAN=$(SAN)$(TSAN) INJECT=all FOLLOW=1 TEST_S=$(INJECT_S) python3 tests/system/run.py in_turn each_call
mutants:
	@python3 tests/fault/mutants/mutants.py
analyze:
	@tests/analyze.sh
memcheck: all
	@B=$(B) python3 tests/fault/memcheck.py

# ---- fuzz targets: with replay.c they are plain programs; with clang's libFuzzer (.fuzz) they search
FUZZ_SRC   := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN   := $(patsubst %.c,$(B)/%,$(FUZZ_SRC))
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(FUZZ_SRC))
FUZZ_B     := $(BASE_B)-fuzz

define fuzz_rule
ROOMS_OF_$(1) := $(call beneath,$(call named,$(1)))
$(B)/$(1:.c=): $(B)/$(1:.c=.o) $(B)/tests/fuzz/replay.o $$(call archives,$$(ROOMS_OF_$(1)))
	$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $$(call needs,$$(ROOMS_OF_$(1)))
$(B)/$(1:.c=.fuzz): $(B)/$(1:.c=.o) $$(call archives,$$(ROOMS_OF_$(1)))
	$$(CC) $$(ALL_LDFLAGS) -fsanitize=fuzzer -o $$@ $$^ $$(call needs,$$(ROOMS_OF_$(1)))
endef
$(foreach t,$(FUZZ_SRC),$(eval $(call fuzz_rule,$(t))))

fuzz:
	@tests/deps.sh fuzz
	@$(MAKE) --no-print-directory B=$(FUZZ_B) CC=$(CLANG) OPT='-O1 -g -fno-omit-frame-pointer' \
		SANFLAGS='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined' \
		$(patsubst %,$(FUZZ_B)/tests/fuzz/fuzz_%.fuzz,$(or $(NAME),$(FUZZ_NAMES)))
	@B=$(FUZZ_B) FUZZ_S=$(FUZZ_S) tests/fuzz.sh $(or $(NAME),$(FUZZ_NAMES))

# ---- check: tests/run.sh runs what it is given and counts
LINT       := $(sort $(wildcard tests/lint/*.sh))
SYSTEM     := $(wildcard tests/system/run.py)
RUN         = B=$(B) TEST_S=$(TEST_S) SYSTEM_S=$(SYSTEM_S) SAN=$(SAN)$(TSAN) TSAN=$(TSAN) tests/run.sh

deps:
	@tests/deps.sh check

all $(B)/newsxd $(B)/newsxctl $(UNIT_BIN) $(SCENE_BIN) $(FAULT_BIN) $(FUZZ_BIN): | deps-build
deps-build:
	@tests/deps.sh build

# the partner of system tests that makes its TLS records by hand
RECORDS    := $(B)/tests/system/records
$(RECORDS): $(B)/tests/system/records.o $(B)/tests/bench/wire.o
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lssl -lcrypto

check-programs: all $(SHIMS) $(RECORDS) $(UNIT_BIN) $(SCENE_BIN) $(FAULT_BIN) $(FUZZ_BIN)

check: deps
	@$(MAKE) --no-print-directory check-programs
	@$(RUN) $(call only,$(UNIT_BIN) $(SCENE_BIN) $(FAULT_BIN) $(FUZZ_BIN) $(SYSTEM) $(LINT))
check-unit: $(call only,$(UNIT_BIN))
	@$(RUN) $^
check-scene: $(call only,$(SCENE_BIN))
	@$(RUN) $^
check-fault: $(call only,$(FAULT_BIN))
	@$(RUN) $^
check-fuzz: $(call only,$(FUZZ_BIN))
	@$(RUN) $^
check-system: all $(SHIMS) $(RECORDS)
	@$(RUN) $(SYSTEM)
# what threads share, under the thread sanitizer: the whole daemon, and the rooms that have threads
THREADS_IN := daemon/store/ daemon/base/ test_full_store
THREADED   := $(foreach t,$(UNIT_BIN) $(FAULT_BIN),$(if $(strip $(foreach w,$(THREADS_IN),$(findstring $(w),$(t)))),$(t)))
check-threads: deps
	@$(MAKE) --no-print-directory TSAN=1 run-threads
run-threads: all $(SHIMS) $(RECORDS) $(THREADED)
	@$(RUN) $(THREADED) $(SYSTEM)
check-lint lint:
	@$(RUN) $(call only,$(LINT))

demo:
	@tests/deps.sh build
	@$(MAKE) --no-print-directory all
	@B=$(B) python3 tests/demo/demo.py

# ---- bench: load generator, floor and slow disk; what they measure beside each other is in bench.py
BENCH_ROOMS := daemon/store $(uses.daemon/store)
BENCH_BIN   := $(B)/tests/bench/load $(B)/tests/bench/floor $(B)/tests/bench/prepare \
	       $(B)/tests/bench/slowsync.so
bench_of     = $(patsubst %,$(B)/tests/bench/%.o,$(1))
$(B)/tests/bench/load: $(call bench_of,load give take wire) $(call lib,daemon/base) $(call lib,proto)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -ljansson -lssl -lcrypto
$(B)/tests/bench/floor: $(call bench_of,floor floor_load wire) $(foreach r,$(BENCH_ROOMS),$(call lib,$(r)))
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call needs,$(BENCH_ROOMS)) -lssl
$(B)/tests/bench/prepare: $(call bench_of,prepare known) $(foreach r,$(BENCH_ROOMS),$(call lib,$(r)))
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call needs,$(BENCH_ROOMS))
# the writer alone, and photos through the store's threads: for a profile, not for the table
$(B)/tests/bench/bench_items: $(call bench_of,bench_items known) $(foreach r,$(BENCH_ROOMS),$(call lib,$(r)))
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call needs,$(BENCH_ROOMS)) -lcmocka
$(B)/tests/bench/bench_photos: $(call bench_of,bench_photos) $(foreach r,$(BENCH_ROOMS),$(call lib,$(r)))
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call needs,$(BENCH_ROOMS)) -lcmocka
$(B)/tests/bench/slowsync.so: tests/bench/slowsync.c
	@mkdir -p $(@D)
	$(CC) $(STD) -O2 -D_GNU_SOURCE -fPIC -shared -o $@ $<
bench: all $(BENCH_BIN)
	@B=$(B) python3 tests/bench/bench.py
hostile: all
	@B=$(B) python3 tests/bench/hostile.py

SOURCES = $(sort $(shell find proto daemon client tests -name '*.[ch]'))
format:
	clang-format -i $(SOURCES)

# ---- install: DESTDIR and PREFIX as everywhere; a configuration that is there is never touched
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
DOCDIR  ?= $(PREFIX)/share/doc/newsxd
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(DOCDIR) \
		$(DESTDIR)$(SYSCONFDIR)/newsxd/conf.d
	install -d -m 0750 $(DESTDIR)$(SYSCONFDIR)/newsxd/keys
	install -m 0755 $(B)/newsxctl $(DESTDIR)$(PREFIX)/bin/newsxctl
	install -m 0755 $(B)/newsxd $(DESTDIR)$(PREFIX)/sbin/newsxd
	install -m 0644 conf/newsxd.conf proto/PROTOCOL.md $(DESTDIR)$(DOCDIR)/
	test -e $(DESTDIR)$(SYSCONFDIR)/newsxd/newsxd.conf || \
		install -m 0644 conf/newsxd.conf $(DESTDIR)$(SYSCONFDIR)/newsxd/newsxd.conf
	for page in $(wildcard man/*.[1-8]); do \
		install -D -m 0644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done
	for unit in $(wildcard systemd/*.service systemd/*.socket); do \
		mkdir -p $(DESTDIR)$(UNITDIR) && sed 's,/usr/sbin/newsxd,$(PREFIX)/sbin/newsxd,' $$unit \
			> $(DESTDIR)$(UNITDIR)/$${unit##*/}; done
	for users in $(wildcard systemd/*.sysusers); do \
		install -D -m 0644 $$users $(DESTDIR)$(SYSUSERSDIR)/newsxd.conf; done

.PHONY: power shims inject mutants analyze memcheck torture soak fuzz deps deps-build check check-programs check-unit check-scene check-fault check-fuzz \
	check-threads run-threads check-system check-lint lint demo bench hostile format install
