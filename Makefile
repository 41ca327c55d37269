# darknet-sat. Targets: all (default), demo, data, test, bench (BENCH="options"), check-long, check, lint, race, docs, install, clean, and
# fuzz: FUZZ="image checkpoint" (targets of tests/fuzz/targets.c; all), TIME=3600 (seconds for each), SANITIZE=memory.
# DEV=1 turns warnings into errors; SANITIZE=address,undefined or thread builds with sanitizers; ONEDNN=0 leaves the oneDNN backend out.
# MPI=0 leaves libdarknet-sat-mpi.so out, which the program opens where mpirun has started several of it.

CC = gcc
CFLAGS = -O3 -g
PREFIX = /usr/local
VERSION = 0.1.0
# of the library's ABI: a change that programs notice is a new one
SOVERSION = 1
FUZZ_CC = clang
FUZZ = $(sort $(notdir $(wildcard tests/fuzz/corpus/*)))
TIME = 60
ONEDNN = 1
MPI = 1
ONNX_PROTO = /usr/include/onnx/onnx.proto
DARKNET_INCLUDE = /usr/lib/darknet/include

# the thread sanitizer does not know the barriers inside oneDNN
WITH_ONEDNN = $(if $(findstring thread,$(SANITIZE)),,$(filter-out 0,$(ONEDNN)))
CLANG = $(if $(findstring clang,$(CC)),-clang)
BUILD = build$(if $(WITH_ONEDNN),,-host)$(CLANG)$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))
comma = ,
WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wno-unknown-pragmas $(if $(DEV),-Werror)
# the thread sanitizer does not know OpenMP's barriers
OPENMP = $(if $(findstring thread,$(SANITIZE)),,-fopenmp)
SANITIZER = $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -DDS_SANITIZED=1)
# -fno-math-errno: a loop with a square root becomes one over vectors
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -fPIC -fvisibility=hidden -fno-math-errno $(WARNINGS) $(OPENMP) $(SANITIZER) $(CFLAGS) -MMD -MP \
             $(if $(WITH_ONEDNN),-DDS_WITH_ONEDNN) -DDS_VERSION='"$(VERSION)"' -Isrc -I. -I$(BUILD)/src -I$(BUILD) -isystem /usr/include/stb -isystem $(DARKNET_INCLUDE)
LIBS = $(if $(WITH_ONEDNN),-ldnnl) -ljansson -lmicrohttpd -larchive -lseccomp -lwebp -lprotobuf-c -lz -lm -ldl -lpthread $(if $(OPENMP),,-lgomp)
# what replaces the host's functions must be exported, and nothing else
EXPORTS = -Wl,--dynamic-list=src/host/exports.list

MAIN_ONLY = src/cli/main.c
PRELOAD_ONLY = src/host/preload.c
MPI_ONLY = src/ranks/mpi.c
SOURCES = $(filter-out $(MAIN_ONLY) $(PRELOAD_ONLY) $(MPI_ONLY),$(wildcard src/*/*.c)) $(wildcard plugins/*.c) \
          $(wildcard plugins/cuda/*.c) $(if $(WITH_ONEDNN),$(wildcard plugins/onednn/*.c))
PRELOAD_SOURCES = $(PRELOAD_ONLY) src/host/attach.c src/host/features.c src/host/open.c src/host/params.c src/host/parse.c src/host/whole.c \
                  src/select/confidence.c src/select/novelty.c src/select/softmax.c $(wildcard src/base/*.c src/cfg/*.c plugins/*.c)
TESTS = $(filter-out $(if $(WITH_ONEDNN),,test_kernels test_isa test_onednn%),$(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c)))
CLI_TESTS = $(sort $(filter-out tests/cli/lib.sh,$(wildcard tests/cli/*.sh))) tests/ranks/hosts.sh tests/style.sh
object = $(patsubst %.c,$(BUILD)/%.o,$(1))
ONNX_OBJECT = $(BUILD)/onnx.pb-c.o

# other compilers and sanitizers leave ./darknet alone
OWN = $(if $(SANITIZE)$(CLANG),$(BUILD)/)
PROGRAM = $(OWN)darknet
PRELOAD = $(OWN)libdarknet-sat.so
LIBRARY = $(OWN)libdarknet_sat.so.$(SOVERSION)

RANKS = $(if $(filter-out 0,$(MPI)),$(OWN)libdarknet-sat-mpi.so)

all: $(PROGRAM) $(PRELOAD) $(LIBRARY) $(RANKS)

# ./darknet is one file, with or without oneDNN: this one changes when the other was linked last
VARIANT = build/variant
$(VARIANT): FORCE
	@mkdir -p $(@D)
	@echo $(BUILD) | cmp -s - $@ || echo $(BUILD) > $@

$(PROGRAM): $(call object,$(MAIN_ONLY) $(SOURCES)) $(ONNX_OBJECT) src/host/exports.list $(if $(OWN),,$(VARIANT))
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(EXPORTS) -o $@ $(filter %.o,$^) $(LIBS)

$(PRELOAD): $(call object,$(PRELOAD_SOURCES)) src/host/preload.map
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -shared $(if $(SANITIZE),,-Wl$(comma)-z$(comma)defs) -Wl,--version-script=src/host/preload.map \
	      -o $@ $(filter %.o,$^) -ljansson -lz -lm -ldl

$(OWN)libdarknet-sat-mpi.so: $(call object,$(MPI_ONLY))
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -shared -o $@ $^ $$(pkg-config --libs ompi-c)
$(call object,$(MPI_ONLY)): ALL_CFLAGS += $(patsubst -I%,-isystem %,$(shell pkg-config --cflags ompi-c 2>/dev/null))

# for other programs: of all that the program has, what src/api needs
$(LIBRARY): $(BUILD)/src/api/api.o $(BUILD)/libds.a src/api/exports.map
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -shared -Wl,-soname=$(@F) -Wl,--version-script=src/api/exports.map \
	      -Wl,-z,nodelete -Wl,--as-needed $(if $(SANITIZE),,-Wl$(comma)-z$(comma)defs) -o $@ $(filter %.o %.a,$^) $(LIBS)
	ln -sf $(@F) $(@:.$(SOVERSION)=)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

# a file's text as a C string, report.css as report_css; a trigraph must not arise
$(BUILD)/%.inc: %
	@mkdir -p $(@D)
	@{ echo "static const char $$(basename $< | tr . _)[] ="; \
	   sed 's/[\\"?]/\\&/g; s/^/    "/; s/$$/\\n"/' $<; \
	   echo "    ;"; } >$@.tmp
	@mv $@.tmp $@

# the messages of ONNX, from its own description
$(BUILD)/onnx.pb-c.c: $(ONNX_PROTO)
	@mkdir -p $(@D)
	protoc-c --proto_path=$(dir $<) --c_out=$(@D) $<
$(ONNX_OBJECT): $(BUILD)/onnx.pb-c.c
	$(CC) $(ALL_CFLAGS) -w -c -o $@ $<
$(BUILD)/src/export/onnx.o: $(BUILD)/onnx.pb-c.c

# stb_image counts on what compilers make of signed integers that overflow, and of a PSD's colours out of range
$(BUILD)/src/data/image.o: ALL_CFLAGS += -fwrapv -fno-sanitize=float-cast-overflow
# vectors are passed between inlined functions alone
$(BUILD)/plugins/onednn/kernels.o: ALL_CFLAGS += -Wno-psabi
$(BUILD)/src/cli/main.o: $(BUILD)/src/cli/help.txt.inc
NETWORKS = $(patsubst %,$(BUILD)/cfg/%.cfg.inc,small_sat resnet18_cifar_sat vgg16bn_cifar_sat)
$(BUILD)/src/cfg/recipe.o: $(NETWORKS)
$(BUILD)/src/serve/http.o: $(BUILD)/src/serve/page.html.inc
$(BUILD)/src/report/page.o: $(patsubst %,$(BUILD)/src/report/report.%.inc,html css js)
$(BUILD)/src/report/suspects.o: $(patsubst %,$(BUILD)/src/report/%.inc,report.css suspects.html)
$(BUILD)/src/report/plots.o: $(BUILD)/src/report/report.gp.inc
$(BUILD)/src/train/results.o: $(BUILD)/src/train/results.gp.inc
$(BUILD)/plugins/cuda/kernels.o: $(BUILD)/src/base/pixel.h.inc $(BUILD)/plugins/cuda/args.h.inc $(BUILD)/plugins/cuda/kernels.cu.inc

$(BUILD)/tests/test_%: $(BUILD)/tests/unit/test_%.o $(BUILD)/tests/unit/vectors.o $(BUILD)/libds.a src/host/exports.list
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(EXPORTS) -o $@ $(filter %.o,$^) -Wl,--whole-archive $(BUILD)/libds.a \
	      -Wl,--no-whole-archive -lcmocka $(LIBS)

# libraries of NVIDIA that emulate a device, for test_cuda and tests/cli/cuda.sh
MOCKS = $(addprefix $(BUILD)/tests/gpu/,libcuda.so.1 libcudnn.so.9 libnvrtc.so.13)
MOCK_FLAGS = -std=gnu11 -O2 -g -fPIC -Wall -Wextra -fno-math-errno $(SANITIZER) -I. -Isrc -shared -Wl,-soname=$(@F)
$(BUILD)/tests/gpu/emulated_%.o: tests/gpu/emulated.c tests/gpu/emulate.h tests/gpu/mock.h plugins/cuda/kernels.cu plugins/cuda/args.h src/base/pixel.h
	@mkdir -p $(@D)
	$(CC) $(filter-out -shared -Wl%,$(MOCK_FLAGS)) -Wno-unused-function -DBF16=$* -c -o $@ $<
$(BUILD)/tests/gpu/libcuda.so.1: tests/gpu/mock_cuda.c $(BUILD)/tests/gpu/emulated_0.o $(BUILD)/tests/gpu/emulated_1.o
	$(CC) $(MOCK_FLAGS) -o $@ $^ -lm
$(BUILD)/tests/gpu/libcudnn.so.9: tests/gpu/mock_cudnn.c $(BUILD)/tests/gpu/libcuda.so.1
	$(CC) $(MOCK_FLAGS) -o $@ $^ -Wl,-rpath,'$$ORIGIN'
$(BUILD)/tests/gpu/libnvrtc.so.13: tests/gpu/mock_nvrtc.c $(BUILD)/tests/gpu/libcuda.so.1
	$(CC) $(MOCK_FLAGS) -o $@ $^ -Wl,-rpath,'$$ORIGIN'
$(BUILD)/tests/test_cuda: $(MOCKS)

$(BUILD)/libds.a: $(call object,$(SOURCES)) $(ONNX_OBJECT)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/tests/test_corpus: $(BUILD)/tests/fuzz/targets.o

BENCH_PROGRAMS = $(addprefix $(BUILD)/bench/,step $(if $(WITH_ONEDNN),bound))

$(BENCH_PROGRAMS): %: %.o $(BUILD)/bench/serve.o $(BUILD)/libds.a src/host/exports.list
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(EXPORTS) -o $@ $(filter %.o,$^) -Wl,--whole-archive $(BUILD)/libds.a \
	      -Wl,--no-whole-archive $(LIBS)

$(BUILD)/bench/guarantee: %: %.o $(BUILD)/libds.a src/host/exports.list
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(EXPORTS) -o $@ $< -Wl,--whole-archive $(BUILD)/libds.a -Wl,--no-whole-archive $(LIBS)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

UNIT = $(addprefix $(BUILD)/tests/,$(TESTS))

# leaks of the host are the host's
SANITIZER_ENV = ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS=suppressions=$(CURDIR)/tests/lsan.supp:print_suppressions=0 \
                UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

unit: $(UNIT)
	$(if $(SANITIZE),$(SANITIZER_ENV)) sh tests/run.sh $(UNIT)

# a sanitizer's runtime must come first in a process, so the preloaded library is tested without
test: $(UNIT) $(BENCH_PROGRAMS) $(MOCKS) all
	$(if $(SANITIZE),$(SANITIZER_ENV) DARKNET=$(CURDIR)/$(PROGRAM) SANITIZER=-fsanitize=$(SANITIZE)) BENCH_DIR=$(BUILD)/bench sh tests/run.sh $(UNIT) \
	    $(if $(SANITIZE),$(filter-out tests/cli/preload.sh,$(CLI_TESTS)),$(CLI_TESTS))

# clang builds what the fuzzer runs in a folder of its own, without oneDNN
FUZZ_SANITIZE = fuzzer-no-link,$(or $(SANITIZE),address$(comma)undefined)
fuzz:
	@$(MAKE) --no-print-directory CC="$(FUZZ_CC)" ONEDNN=0 OPENMP= DEV= SANITIZE=$(FUZZ_SANITIZE) fuzzer \
	    CFLAGS="-O2 -g -DDS_MOST_PIXELS=262144 -fno-sanitize-recover=all"
	@sh tests/fuzz/run.sh build-host-clang-$(subst $(comma),-,$(FUZZ_SANITIZE))/fuzz $(TIME) $(FUZZ)

fuzzer: $(BUILD)/fuzz
$(BUILD)/fuzz: $(call object,tests/fuzz/targets.c tests/fuzz/fuzzer.c) $(BUILD)/libds.a src/host/exports.list
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) $(EXPORTS) -fsanitize=fuzzer -o $@ $(filter %.o %.a,$^) $(LIBS)

bench: all $(BENCH_PROGRAMS)
	@python3 bench/run.py -programs $(BUILD)/bench $(BENCH)

# What cost sections do on which images: hours. SCALE=medium: two, SCALE=small: one or two.
experiments: all data
	@python3 bench/experiments/run.py -scale $(or $(SCALE),full)

check-long: all $(UNIT)
	sh tests/long/demo.sh
	sh tests/long/kill.sh
	sh tests/long/steady.sh
	sh tests/long/serve.sh
	python3 tests/long/vectors.py $(BUILD)/tests
	sh tests/long/coverage.sh
	sh tests/long/export.sh
	sh tests/long/package.sh
	$(if $(WITH_ONEDNN),sh tests/long/stock.sh $(BUILD)/tests/test_onednn_nets)

# loader and loop under the thread sanitizer
race:
	@$(MAKE) --no-print-directory SANITIZE=thread TESTS="test_loader test_stream" CLI_TESTS=tests/cli/resume.sh BENCH_PROGRAMS= test

# readdir is safe where each thread has a folder of its own; fields of tables are found by their offsets; DS_ALLOC names an
# array in its declaration
lint:
	cppcheck -q -j2 --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
	    --suppress=readdirCalled --suppress=invalidPointerCast --suppress=selfAssignment --suppress=normalCheckLevelMaxBranches --library=posix,gnu,tests/cppcheck.cfg \
	    -Isrc -I. -D_GNU_SOURCE -D__x86_64__ -DDS_WITH_ONEDNN src plugins bench

docs: all
	./darknet layers -markdown > cfg/LAYERS.md

check: test
	clang-format --dry-run -Werror $(wildcard src/*/*.[ch] plugins/*.[ch] plugins/*/*.[ch] tests/unit/*.[ch] bench/*.[ch])

data: all
	@sh data/get.sh

demo: all data
	@sh data/demo.sh

LIBDIR = $(PREFIX)/lib
SHARE = $(PREFIX)/share
# where Debian's Python looks
PYTHONDIR = $(PREFIX)/lib/python3$(if $(filter /usr,$(PREFIX)),,$(shell /usr/bin/python3 -c \
            'import sys; print(".%d" % sys.version_info[1])'))/dist-packages
PLUGIN_HEADERS = plugins/plugin.h plugins/cross_entropy.h src/base/error.h src/base/memory.h src/base/option.h src/base/text.h \
                 src/select/select.h
PUT = install -D -m 644
PC = printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR:$(PREFIX)/%=$${prefix}/%)' 'includedir=$${prefix}/include' 'Version: $(VERSION)'

install: all
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/darknet-sat
	$(PUT) $(LIBRARY) $(DESTDIR)$(LIBDIR)/$(notdir $(LIBRARY))
	ln -sf $(notdir $(LIBRARY)) $(DESTDIR)$(LIBDIR)/libdarknet_sat.so
	$(PUT) $(PRELOAD) $(DESTDIR)$(LIBDIR)/darknet-sat/libdarknet-sat.so
	$(if $(RANKS),$(PUT) $(RANKS) $(DESTDIR)$(LIBDIR)/darknet-sat/libdarknet-sat-mpi.so)
	$(PUT) src/api/darknet-sat.h $(DESTDIR)$(PREFIX)/include/darknet-sat.h
	for f in $(PLUGIN_HEADERS); do $(PUT) $$f $(DESTDIR)$(PREFIX)/include/darknet-sat/$${f#src/} || exit 1; done
	for f in cfg/*.cfg cfg/*.md; do $(PUT) $$f $(DESTDIR)$(SHARE)/darknet-sat/$$f || exit 1; done
	$(PUT) python/darknet_sat.py $(DESTDIR)$(PYTHONDIR)/darknet_sat.py
	install -d $(addprefix $(DESTDIR),$(LIBDIR)/pkgconfig $(SHARE)/man/man1 $(SHARE)/man/man5 $(SHARE)/bash-completion/completions)
	$(PC) 'Name: darknet-sat' 'Description: image classifiers that may abstain' 'Cflags: -I$${includedir}' \
	      'Libs: -L$${libdir} -ldarknet_sat' >$(DESTDIR)$(LIBDIR)/pkgconfig/darknet-sat.pc
	$(PC) 'Name: darknet-sat-plugin' 'Description: layers for darknet-sat' 'Cflags: -I$${includedir}/darknet-sat' \
	      >$(DESTDIR)$(LIBDIR)/pkgconfig/darknet-sat-plugin.pc
	python3 docs/pages.py $(PROGRAM) man1 >$(DESTDIR)$(SHARE)/man/man1/darknet-sat.1
	python3 docs/pages.py $(PROGRAM) man5 >$(DESTDIR)$(SHARE)/man/man5/darknet-sat.5
	python3 docs/pages.py $(PROGRAM) completion >$(DESTDIR)$(SHARE)/bash-completion/completions/darknet-sat

.SECONDARY:
.PHONY: FORCE all demo data unit test fuzz fuzzer bench experiments check-long check lint race docs install clean

clean:
	rm -rf build build-* darknet libdarknet-sat.so libdarknet-sat-mpi.so libdarknet_sat.so*
