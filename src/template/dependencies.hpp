// What in the catalogs a template depends on, besides whose changes it is looked at again in any
// case. Kept with each template, asked by template_table.cpp and unchecked.cpp when the server
// tells of a change. Process: decoder.
#pragma once

#include "pg/postgres.hpp"
#include "query/spec.hpp"

extern "C" {
#include "utils/inval.h"
}

namespace live_queries {

// Of one template, in its memory context.
struct Dependencies {
  List* functions;  // hashes in the catalog cache, ints
  List* types;      // likewise
  List* relations;  // oids of its tables, those on the way to them, and of composite types
  bool enums;
  bool domains;
  bool user_code;  // its expressions may run code of users; if not, nothing in it asks who it is
};

// Reads the catalogs: in a transaction.
Dependencies DependenciesOf(const QuerySpec& spec);

// Whether a change in the catalog of `cache` is a reason to look at the template again: that of the
// row with `hash` (0: of anything), unless it is a function or type, which are in the lists.
bool DependsOnCatalog(const Dependencies& dependencies, int cache, uint32 hash);

// Asks the server to call `callback` for all catalogs that DependsOnCatalog may be asked about.
void ListenToCatalogs(SyscacheCallbackFunction callback);

}  // namespace live_queries
