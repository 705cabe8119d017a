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

REGRESS = setup subscribe changes types kinds_of_tables partitions views transactions errors privileges ddl evaluation_errors monitoring session_identity clock whole_rows roles errors_of_tenants partition_trees migrations budgets keys sandbox replica_identity snapshot_reads dependencies type_functions generated_columns role_values settings_of_functions dropped_columns session_functions function_bodies result_columns shown_names one_point any_select single_tables positions clock_queries throttle set_params kept_groups kept_lists inserted_rows relevant_rows rare_queries
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

.PHONY: unit
unit:
	$(MAKE) -C test/unit run

endif
