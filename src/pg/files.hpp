// Files of spilled messages: reading and writing all of a piece, whatever the server's calls do at
// once; and the limit of temporary files. Process: decoder (puts), client backend (takes, holds).
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "storage/fd.h"
#include "utils/guc.h"
}

namespace live_queries {

// Both ereport if they cannot; a file that ends too early counts as damaged.
void ReadWhole(File file, void* bytes, size_t size, off_t offset);
void WriteWhole(File file, const void* bytes, size_t size, off_t offset);
// The same, but false, with errno, if it cannot.
bool TryWriteWhole(File file, const void* bytes, size_t size, off_t offset);

// Runs `body` with another temp_file_limit, in kB, and returns what it returns. On error it is not
// restored: for what ends the process then, or catches its errors.
template <class Body>
auto WithTempFileLimit(int limit_kb, Body&& body) {
  const int outer = temp_file_limit;
  temp_file_limit = limit_kb;
  auto result = body();
  static_assert(std::is_trivially_destructible_v<decltype(result)>);
  temp_file_limit = outer;
  return result;
}

}  // namespace live_queries
