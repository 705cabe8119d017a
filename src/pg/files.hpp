// Reading and writing all of a piece of a file. Process: any.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "storage/fd.h"
}

namespace live_queries {

// Both ereport if they cannot; a file that ends too early counts as damaged.
void ReadWhole(File file, void* bytes, size_t size, off_t offset);
void WriteWhole(File file, const void* bytes, size_t size, off_t offset);

}  // namespace live_queries
