// What the answer to a query depends on in the catalogs, whatever its strategy. Noted where the
// query is analysed, and looked at again when a catalog has changed (template/dependencies.hpp).
// Process: client backend, worker.
#pragma once

#include "analyze/called_functions.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

struct QueryDependencies {
  List* relations;            // oids of those that it names or reads, views too
  char* access;               // text that names what was checked for privileges
  CalledFunctions called;     // by the expressions, inlined ones and those of types too
  List* inlined;              // hashes in the catalog cache of functions, some within `called`
  List* of_roles;             // FrozenValues::of_roles: what may change for one, changes for all
  List* types;                // oids of the users' types that the query names or shows
  bool params_read_catalogs;  // which values its parameters are depends on more than their texts
  List* shapes;               // analyze/type_shapes.hpp
};

}  // namespace live_queries
