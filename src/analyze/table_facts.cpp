// Reads the kind of a table, its replica identity and its keys from the relation cache. Process:
// client backend, decoder.
#include "analyze/table_facts.hpp"

#include "analyze/unsupported.hpp"
#include "pg/compat.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

[[noreturn]] void RaiseWrongTable(Relation relation, const char* what) {
  ereport(ERROR, errcode(ERRCODE_WRONG_OBJECT_TYPE),
          errmsg("cannot watch %s \"%s\"", what, RelationGetRelationName(relation)),
          errdetail("Its changes are not in the write-ahead log as rows."));
  pg_unreachable();
}

void RequireDecodable(Relation relation) {
  switch (relation->rd_rel->relkind) {
    case RELKIND_RELATION:
    case RELKIND_PARTITIONED_TABLE:
      break;
    case RELKIND_MATVIEW:
      RaiseWrongTable(relation, "materialized view");
    case RELKIND_FOREIGN_TABLE:
      RaiseWrongTable(relation, "foreign table");
    default:
      RaiseWrongTable(relation, "relation");
  }
  if (relation->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
    RaiseWrongTable(relation, "temporary table");
  if (relation->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED)
    RaiseWrongTable(relation, "unlogged table");
  if (IsCatalogRelation(relation)) RaiseWrongTable(relation, "system catalog");
}

// The old rows' columns that the log holds, as attribute numbers of `root`.
Bitmapset* IdentityColumns(Relation leaf, Relation root) {
  Bitmapset* columns = nullptr;
  ListCell* cell;
  foreach (cell, IndexColumns(RelationGetReplicaIndex(leaf))) {
    const char* name =
        get_attname(RelationGetRelid(leaf), static_cast<AttrNumber>(lfirst_int(cell)), false);
    const AttrNumber number = get_attnum(RelationGetRelid(root), name);
    if (number != InvalidAttrNumber) columns = bms_add_member(columns, number);
  }
  return columns;
}

Bitmapset* AsSet(List* columns) {
  Bitmapset* set = nullptr;
  ListCell* cell;
  foreach (cell, columns) set = bms_add_member(set, lfirst_int(cell));
  return set;
}

// `members` and all below them, as the server finds and locks them, but for the temporary children
// of other sessions: no query of this one reads them, and their owners may hold any lock on them.
// Their schemas are added to `*temporary`. A table can hang in several places, a partition cannot.
List* Members(List* members, bool partitions, List** temporary) {
  for (int i = 0; i < list_length(members); ++i) {
    ListCell* cell;
    foreach (cell, find_inheritance_children(list_nth_oid(members, i), NoLock)) {
      const Oid child = lfirst_oid(cell);
      const Oid schema = get_rel_namespace(child);
      if (isOtherTempNamespace(schema)) {
        *temporary = list_append_unique_oid(*temporary, schema);
        continue;
      }
      LockRelationOid(child, AccessShareLock);
      if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(child)))  // dropped meanwhile
        UnlockRelationOid(child, AccessShareLock);
      else
        members = partitions ? lappend_oid(members, child) : list_append_unique_oid(members, child);
    }
  }
  return members;
}

bool IsBtree(Oid index) {
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(index));
  if (!HeapTupleIsValid(tuple)) return false;
  const bool is = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relam == BTREE_AM_OID;
  ReleaseSysCache(tuple);
  return is;
}

}  // namespace

List* IndexColumns(Oid oid) {
  HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(oid));
  if (!HeapTupleIsValid(tuple)) return NIL;
  const Form_pg_index index = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
  List* columns = NIL;
  if (index->indisunique && index->indimmediate && index->indisvalid)
    for (int i = 0; i < index->indnkeyatts; ++i)
      columns = lappend_int(columns, index->indkey.values[i]);
  ReleaseSysCache(tuple);
  return columns;
}

const char* IndexOn(Oid relation, AttrNumber column) {
  Relation table = table_open(relation, AccessShareLock);
  const char* name = nullptr;
  ListCell* cell;
  List* indexes = RelationGetIndexList(table);
  foreach (cell, indexes) {
    HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));
    if (!HeapTupleIsValid(tuple)) continue;
    const Form_pg_index index = reinterpret_cast<Form_pg_index>(GETSTRUCT(tuple));
    const bool finds = index->indisvalid && index->indkey.values[0] == column &&
                       IsBtree(index->indexrelid) &&
                       heap_attisnull(tuple, Anum_pg_index_indpred, nullptr);
    if (finds && name == nullptr) name = get_rel_name(index->indexrelid);
    ReleaseSysCache(tuple);
  }
  table_close(table, AccessShareLock);
  return name;
}

char* QualifiedName(Oid relation) {
  return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
                                    get_rel_name(relation));
}

TableFacts LookAtTable(const RangeTblEntry& table) {
  TableFacts facts = {NIL, NIL, true, nullptr, NIL, InvalidOid, nullptr, NIL};
  Relation root = table_open(table.relid, AccessShareLock);
  RequireDecodable(root);
  const bool partitioned = root->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
  if (partitioned && !table.inh) RaiseUnsupported("ONLY of a partitioned table has no rows");
  List* members = list_make1_oid(table.relid);
  if (table.inh) members = Members(members, partitioned, &facts.temporary);
  bool first = true;
  ListCell* cell;
  foreach (cell, members) {
    Relation member = table_open(lfirst_oid(cell), NoLock);
    RequireDecodable(member);
    const bool has_rows = member->rd_rel->relkind != RELKIND_PARTITIONED_TABLE;
    const bool is_leaf = has_rows && member->rd_rel->relispartition;
    if (table.inh && !is_leaf) facts.parents = lappend_oid(facts.parents, RelationGetRelid(member));
    if (has_rows) {
      facts.relations = lappend_oid(facts.relations, RelationGetRelid(member));
      if (member->rd_rel->relreplident != REPLICA_IDENTITY_FULL) {
        facts.full_identity = false;
        facts.weak_name = QualifiedName(RelationGetRelid(member));
        Bitmapset* identity = IdentityColumns(member, root);
        facts.identity = first ? identity : bms_int_members(facts.identity, identity);
        first = false;
      }
    }
    table_close(member, NoLock);
  }
  list_sort(facts.relations, list_oid_cmp);
  list_sort(facts.parents, list_oid_cmp);
  // Children of plain inheritance can hold one key each.
  const bool shared_key = partitioned || list_length(members) == 1;
  if (shared_key) {
    facts.key_index = PrimaryKeyIndex(root);
    if (OidIsValid(facts.key_index)) facts.key = IndexColumns(facts.key_index);
    // Old rows must contain the key.
    if (!facts.full_identity && !bms_is_subset(AsSet(facts.key), facts.identity)) facts.key = NIL;
    if (!facts.full_identity && facts.key == NIL && !partitioned) {
      facts.key_index = RelationGetReplicaIndex(root);
      facts.key = IndexColumns(facts.key_index);
    }
  }
  table_close(root, NoLock);
  return facts;
}

}  // namespace live_queries
