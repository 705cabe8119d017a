// Reads it from the catalogs. Process: decoder, evaluator.
#include "decode/table_storage.hpp"

extern "C" {
#include "access/htup_details.h"
#include "utils/syscache.h"
}

namespace live_queries {

TableStorage StorageOf(const FormData_pg_class& row) {
  if (row.relkind == RELKIND_PARTITIONED_TABLE) return {};  // its tablespace is that of others
  return {row.reltablespace, row.relfilenode, row.relpersistence};
}

TableStorage StorageNow(Oid relation) {
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
  if (!HeapTupleIsValid(tuple)) return {};
  const TableStorage storage = StorageOf(*reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple)));
  ReleaseSysCache(tuple);
  return storage;
}

}  // namespace live_queries
