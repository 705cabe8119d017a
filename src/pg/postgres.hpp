// The server's basic headers, as C++ sees them. Every server-side source includes this first.
// Process: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

// The servers before 16 leave this empty, and we hide what is not exported.
#ifndef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
}
// The servers before 16 have this in postgres.h.
#if __has_include("varatt.h")
extern "C" {
#include "varatt.h"
}
#endif

// PG_FUNCTION_INFO_V1 for a function that is exported before 16 as well.
#define LIVE_QUERIES_FUNCTION(name)         \
  PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
  PG_FUNCTION_INFO_V1(name)

namespace live_queries {

// A view of a StringInfo as the sink that model/message.hpp writes to. May ereport (out of memory).
struct StringInfoSink {
  StringInfo buffer;
  void Append(std::string_view text) {
    appendBinaryStringInfo(buffer, text.data(), static_cast<int>(text.size()));
  }
};

inline std::string_view View(const StringInfoData& buffer) {
  return {buffer.data, static_cast<size_t>(buffer.len)};
}

// A copy in CurrentMemoryContext, terminated by NUL.
inline char* CopyText(std::string_view text) { return pnstrdup(text.data(), text.size()); }

}  // namespace live_queries
