// Included before all else by a build for AddressSanitizer or valgrind (make SEPARATE_CHUNKS=1):
// gives each piece of memory in the contexts of live_queries a malloc() of its own, so that the
// checker knows where it ends, whether it was written, and when it was freed or its context reset.
// Otherwise it would know that of whole blocks only.
#pragma once

#include "pg/postgres.hpp"

// Blocks of at most 136 bytes are too small for any chunk of more than 8 (16 since PostgreSQL 16):
// see the computation of allocChunkLimit in AllocSetContextCreateInternal(). A first block of
// neither of the two usual sizes keeps these contexts out of the lists of those that the server
// uses again. A server with assertions accepts no such sizes.
#undef ALLOCSET_DEFAULT_SIZES
#undef ALLOCSET_SMALL_SIZES
#define ALLOCSET_DEFAULT_SIZES 0, 2048, 136
#define ALLOCSET_SMALL_SIZES 0, 2048, 136
