// Reads pg_constraint: what the server keeps of a domain is planned already.
// Process: client backend, decoder.
#include "analyze/domain_checks.hpp"

#include "analyze/tree.hpp"
#include "analyze/type_components.hpp"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

// The checks of this domain alone, by name.
List* OwnChecks(Oid domain) {
  List* checks = NIL;
  Relation catalog = table_open(ConstraintRelationId, AccessShareLock);
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_constraint_contypid, BTEqualStrategyNumber, F_OIDEQ,
              ObjectIdGetDatum(domain));
  SysScanDesc scan = systable_beginscan(catalog, ConstraintTypidIndexId, true, nullptr, 1, &key);
  HeapTuple tuple;
  while (HeapTupleIsValid(tuple = systable_getnext(scan))) {
    if (reinterpret_cast<Form_pg_constraint>(GETSTRUCT(tuple))->contype != CONSTRAINT_CHECK)
      continue;
    bool is_null;
    // Not heap_getattr: what newer minor releases inline of it, older ones do not have.
    const Datum source = SysCacheGetAttr(CONSTROID, tuple, Anum_pg_constraint_conbin, &is_null);
    if (!is_null) checks = lappend(checks, stringToNode(text_to_cstring(DatumGetTextPP(source))));
  }
  systable_endscan(scan);
  table_close(catalog, AccessShareLock);
  return checks;
}

// The type that `domain` is made of, which may be another domain.
Oid BaseOf(Oid domain, bool* not_null) {
  HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(domain));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for type %u", domain);
  const Form_pg_type row = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple));
  const Oid base = row->typtype == TYPTYPE_DOMAIN ? row->typbasetype : InvalidOid;
  *not_null = *not_null || row->typnotnull;
  ReleaseSysCache(tuple);
  return base;
}

// Visits `domain` and the domains below it. Returns whether one of them is NOT NULL.
template <class Visit>
bool ForEachLevel(Oid domain, Visit&& visit) {
  bool not_null = false;
  for (Oid base; OidIsValid(base = BaseOf(domain, &not_null)); domain = base) visit(domain);
  return not_null;
}

}  // namespace

List* DomainChecks(Oid domain) {
  List* checks = NIL;
  (void)ForEachLevel(domain, [&](Oid level) { checks = list_concat(checks, OwnChecks(level)); });
  return checks;
}

List* CheckedDomains(Node* tree) {
  List* domains = NIL;
  ListCell* cell;
  foreach (cell, TypesIn(tree, false))
    if (get_typtype(lfirst_oid(cell)) == TYPTYPE_DOMAIN)
      domains = lappend_oid(domains, lfirst_oid(cell));
  return domains;
}

List* DomainChecksIn(Node* tree) {
  List* checks = NIL;
  ListCell* cell;
  foreach (cell, CheckedDomains(tree)) checks = list_concat(checks, DomainChecks(lfirst_oid(cell)));
  return checks;
}

char* DescribeDomain(Oid domain) {
  List* checks = NIL;
  const bool not_null =
      ForEachLevel(domain, [&](Oid level) { checks = list_concat(checks, OwnChecks(level)); });
  const char* text = TreeToText(checks);
  const uint64 hash = hash_bytes_extended(reinterpret_cast<const unsigned char*>(text),
                                          static_cast<int>(strlen(text)), 0);
  return psprintf("%u %d " UINT64_FORMAT, domain, not_null, hash);
}

}  // namespace live_queries
