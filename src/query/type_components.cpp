// Walks types. Process: client backend, decoder.
#include "query/type_components.hpp"

extern "C" {
#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace live_queries {
namespace {

struct Search {
  bool (*test)(Oid type);
  List* seen;  // oids: a type can contain arrays of itself
};

bool Visit(Search* search, Oid type);

bool VisitAttributes(Search* search, Oid type) {
  TupleDesc descriptor = lookup_rowtype_tupdesc_copy(type, -1);
  for (int i = 0; i < descriptor->natts; ++i) {
    const FormData_pg_attribute* attribute = TupleDescAttr(descriptor, i);
    if (!attribute->attisdropped && Visit(search, attribute->atttypid)) return true;
  }
  return false;
}

bool Visit(Search* search, Oid type) {
  if (!OidIsValid(type) || list_member_oid(search->seen, type)) return false;
  search->seen = lappend_oid(search->seen, type);
  if (search->test(type)) return true;
  const Oid base = getBaseType(type);
  if (base != type) return Visit(search, base);
  const Oid element = get_base_element_type(type);
  if (OidIsValid(element)) return Visit(search, element);
  switch (get_typtype(type)) {
    case TYPTYPE_COMPOSITE:
      return VisitAttributes(search, type);
    case TYPTYPE_RANGE:
      return Visit(search, get_range_subtype(type));
    case TYPTYPE_MULTIRANGE:
      return Visit(search, get_multirange_range(type));
    default:
      return false;
  }
}

}  // namespace

bool AnyComponent(Oid type, bool (*test)(Oid type)) {
  Search search = {test, NIL};
  return Visit(&search, type);
}

}  // namespace live_queries
