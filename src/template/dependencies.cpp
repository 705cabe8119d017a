// Reads a template's dependencies from the catalogs, and tells which changes of these concern it.
// Process: decoder.
#include "template/dependencies.hpp"

#include "analyze/tree.hpp"
#include "analyze/type_components.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

uint32 database_hash = 0;  // of ours

List* HashesOf(SysCacheIdentifier cache, List* oids) {
  List* hashes = NIL;
  ListCell* cell;
  foreach (cell, oids) {
    const uint32 hash = GetSysCacheHashValue1(cache, ObjectIdGetDatum(lfirst_oid(cell)));
    hashes = lappend_int(hashes, static_cast<int>(hash));
  }
  return hashes;
}

// Not in what was evaluated for good. The code of a type may be a cast to JSON, or a condition.
bool RunsUserCode(const QuerySpec& spec) {
  MemoryContext walk = AllocSetContextCreate(
      CurrentMemoryContext, "live_queries functions of users", ALLOCSET_SMALL_SIZES);
  const bool runs = InMemoryContext(walk, [&] {
    List* expressions =
        list_make5(spec.query, spec.barrier_quals, spec.quals, spec.result_columns, spec.columns);
    expressions = lappend(expressions, spec.routing_conditions);
    if (TypesIn(AsNode(expressions), true) != NIL) return true;
    CalledFunctions called = {};
    NoteCalledFunctions(AsNode(expressions), &called);
    return called.oids != NIL && llast_oid(called.oids) >= FirstNormalObjectId;
  });
  MemoryContextDelete(walk);
  return runs;
}

}  // namespace

Dependencies DependenciesOf(const QuerySpec& spec) {
  database_hash = GetSysCacheHashValue1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
  Dependencies found = {};
  const QueryDependencies& query = spec.dependencies;
  found.functions = list_concat_copy(HashesOf(PROCOID, query.called.oids), query.inlined);
  found.types = HashesOf(TYPEOID, query.types);
  found.relations = list_copy(query.relations);
  ListCell* cell;
  foreach (cell, query.types) {
    const Oid type = lfirst_oid(cell);
    if (const Oid relation = get_typ_typrelid(type); OidIsValid(relation))
      found.relations = list_append_unique_oid(found.relations, relation);
    found.enums = found.enums || get_typtype(type) == TYPTYPE_ENUM;
    found.domains = found.domains || get_typtype(type) == TYPTYPE_DOMAIN;
  }
  found.user_code = RunsUserCode(spec);
  return found;
}

bool DependsOnCatalog(const Dependencies& dependencies, int cache, uint32 hash) {
  switch (cache) {
    case CONSTROID:
      return dependencies.domains;
    case ENUMTYPOIDNAME:
      return dependencies.enums;
    case DATABASEOID:
      return hash == 0 || hash == database_hash;
    default:
      return true;
  }
}

void ListenToCatalogs(SyscacheCallbackFunction callback) {
  for (const auto cache : {AUTHOID, AUTHMEMROLEMEM, NAMESPACEOID, PROCOID, TYPEOID, CONSTROID,
                           OPEROID, CASTSOURCETARGET, ENUMTYPOIDNAME, COLLOID, DATABASEOID})
    CacheRegisterSyscacheCallback(cache, callback, 0);
}

}  // namespace live_queries
