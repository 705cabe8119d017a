// How values of one type become JSON, byte for byte as the server's to_json gives it: what that
// looks up for each value is looked up once here. Process: decoder, evaluator, client backend.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/primnodes.h"
}

namespace live_queries {

struct ToJson {
  enum class How : uint8_t {
    kBoolean,
    kNumber,    // as its text, unless that is no number of JSON (NaN)
    kDateTime,  // in ISO format, whatever DateStyle is
    kVerbatim,  // its text is JSON
    kString,    // its text, quoted
    kServer,    // by to_json itself: what may change meanwhile, such as a cast to json
  };

  How how;
  Oid type;  // below all domains
  FmgrInfo function;
};

// For values of `expression`. In CurrentMemoryContext.
ToJson PrepareToJson(Expr* expression);

// Appends the JSON of a value that is not NULL. Takes memory in CurrentMemoryContext. May ereport.
void AppendJson(ToJson* to_json, Datum value, StringInfo out);

}  // namespace live_queries
