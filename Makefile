# live_queries: a PGXS build of C++20 sources.
#
#   make, make install, make uninstall      the extension
#   make installcheck                       regression and isolation tests on a running server
#   make unit                               tests of src/model as plain programs
#   make check, make check PG=17            all of test/run on one version, on servers of its own
#   make soak                               hours of subscribing, connecting and writing: what leaks, shows
#   make FAULTS=1                           a test build with fault points (never for production)
#   make SANITIZE=undefined|address         a test build that ends the server's process at the first mistake it finds;
#                                           test/lib/cluster.sh knows how the server is started with it
#   make SEPARATE_CHUNKS=1                  a test build for memory checkers: see test/lib/separate_chunks.hpp
#   make PG_LIVE=no                         without the terminal client, pg_live; yes: with it, or not at all. Unless told,
#                                           it is built where its libraries are

# PGXS has a `check` of its own, which only says that there is none.
ifneq (,$(filter check soak,$(MAKECMDGOALS)))

PG ?= 15
.PHONY: check soak
check:
	test/run --pg "$(PG)"
soak:
	SOAK=full PART_TIMEOUT=21600 test/run --pg "$(PG)" soak

else

EXTENSION = live_queries
MODULE_big = live_queries
DATA = live_queries--1.0.sql
PGFILEDESC = "live_queries - watch the result of any query"

SOURCES = $(sort $(wildcard src/*.cpp src/*/*.cpp))
OBJS = $(SOURCES:.cpp=.o)

REGRESS = setup subscribe subscribe_many changes types kinds_of_tables partitions views transactions errors privileges ddl evaluation_errors monitoring session_identity clock whole_rows functions_in_from roles errors_of_tenants partition_trees migrations budgets keys sandbox replica_identity snapshot_reads dependencies type_functions generated_columns role_values settings_of_functions dropped_columns session_functions function_bodies result_columns shown_names one_point any_select single_tables positions clock_queries throttle set_params kept_groups kept_lists inserted_rows relevant_rows rare_queries routing routing_keys routing_types definitions_in_joins routing_groups
REGRESS_OPTS = --inputdir=. --outputdir=.
ISOLATION = snapshot_to_stream subscribers temporary_children
ISOLATION_OPTS = --inputdir=test --outputdir=test

# Exceptions, RTTI and guarded statics would need a C++ runtime, and an ereport() jumps over all three.
PG_CXXFLAGS = -std=c++20 -fno-exceptions -fno-rtti -fno-threadsafe-statics -fvisibility=hidden \
	-Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers \
	-Wno-cast-function-type -Werror -MMD -MP
# The flags that PGXS takes over from the server's build are for the compiler that built it.
ifneq (,$(findstring clang,$(CXX)))
PG_CXXFLAGS += -Wno-unknown-warning-option -Wno-ignored-optimization-argument
endif
PG_CPPFLAGS = -isystem $(shell $(PG_CONFIG) --includedir-server) -I$(CURDIR)/src
ifdef FAULTS
PG_CPPFLAGS += -DLIVE_QUERIES_FAULTS
endif
# The bounds of spans, views and optionals are the library's to check, and its complaint is in libstdc++.
ifdef SANITIZE
PG_CXXFLAGS += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer -D_GLIBCXX_ASSERTIONS
SHLIB_LINK += -fsanitize=$(SANITIZE) -lstdc++
endif
ifdef SEPARATE_CHUNKS
PG_CPPFLAGS += -include $(CURDIR)/test/lib/separate_chunks.hpp
endif

# The bitcode that PGXS would build serves JIT inlining of SQL-callable functions; ours are never worth inlining.
override with_llvm := no

EXTRA_CLEAN = $(SOURCES:.cpp=.d) $(SOURCES:.cpp=.bc) results test/output_iso test/results tmp_check

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

-include $(SOURCES:.cpp=.d)

# The terminal client: a program of its own, with flags of its own.
PG_LIVE_HEADERS := ncurses.h nlohmann/json.hpp libpq-fe.h
ifndef PG_LIVE
HASH := \#
# As in its Makefile.
PG_LIVE_INCLUDEDIR := $(filter-out /usr/include,$(shell $(PG_CONFIG) --includedir))
PG_LIVE_MISSING := $(strip $(foreach header,$(PG_LIVE_HEADERS),$(shell \
	printf '$(HASH)if !__has_include(<$(header)>)\n$(HASH)error\n$(HASH)endif\n' | \
	$(CXX) -x c++ $(PG_LIVE_INCLUDEDIR:%=-isystem %) -E - >/dev/null 2>&1 || echo $(header))))
PG_LIVE := $(if $(PG_LIVE_MISSING),no,yes)
endif

PG_LIVE_GOALS := all install uninstall clean unit
PG_LIVE_MAKE = +$(MAKE) -C clients/pg_live PG_CONFIG="$(PG_CONFIG)" CXX="$(CXX)"
.PHONY: $(PG_LIVE_GOALS:%=pg_live-%) unit
all: pg_live-all
install: pg_live-install
uninstall: pg_live-uninstall
clean: pg_live-clean
unit: pg_live-unit
ifeq ($(PG_LIVE),yes)
pg_live-all pg_live-install pg_live-unit:
	$(PG_LIVE_MAKE) $(@:pg_live-%=%)
else
pg_live-all:
	@test -z '$(PG_LIVE_MISSING)' || echo 'pg_live, the terminal client, is left out: $(PG_LIVE_MISSING) not found.' \
	  'On Debian: apt install libncurses-dev nlohmann-json3-dev libpq-dev'
pg_live-install pg_live-unit: ;
endif
# Not beside each other: both would compile.
pg_live-install pg_live-unit: pg_live-all
pg_live-uninstall pg_live-clean:
	$(PG_LIVE_MAKE) $(@:pg_live-%=%)

unit:
	$(MAKE) -C test/unit run

endif
