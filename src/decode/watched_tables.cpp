// The table of watched tables, and the list of row shapes that they and waiting transactions have.
// Process: decoder.
#include "decode/watched_tables.hpp"

#include "analyze/table_facts.hpp"
#include "decode/table_storage.hpp"
#include "pg/compat.hpp"
#include "pg/hash_table.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/partition.h"
#include "catalog/pg_inherits.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"
}

namespace live_queries {

struct WatchedTable {
  Oid relation;            // hash key
  int watchers;            // of its rows
  const List* identities;  // by which it is watched
  RowShape* shape;         // nullptr: to be looked at again
  // At this point of the log; when it was first watched, of then:
  TableStorage storage;
  List* children;  // see ChildrenOf
};

namespace {

MemoryContext tables_context = nullptr;
HTAB* watched_tables = nullptr;
RowShape* shapes = nullptr;
uint32 last_shape_number = 0;
uint32 shape_count = 0;
uint32 shape_generation = 0;

// The shape may have changed from here on in the log. Called for catalog changes as decoding
// replays them, and for those that other backends make now.
void OnRelationChange(Datum, Oid relation) {
  if (watched_tables == nullptr) return;
  if (OidIsValid(relation)) {
    if (WatchedTable* table = FindWatched(relation)) table->shape = nullptr;
    return;
  }
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, watched_tables);
  while (auto* table = static_cast<WatchedTable*>(hash_seq_search(&scan))) table->shape = nullptr;
}

bool SameColumns(TupleDesc a, TupleDesc b) {
  if (a->natts != b->natts) return false;
  for (int i = 0; i < a->natts; ++i) {
    const FormData_pg_attribute* x = TupleDescAttr(a, i);
    const FormData_pg_attribute* y = TupleDescAttr(b, i);
    if (x->attisdropped != y->attisdropped || x->atttypid != y->atttypid ||
        x->attlen != y->attlen || x->attalign != y->attalign ||
        strcmp(NameStr(x->attname), NameStr(y->attname)) != 0 ||
        x->atthasmissing != y->atthasmissing)
      return false;
  }
  return true;
}

// What of `relation`, at this point of the log, makes a shape. Allocates in the current context.
RowShape Describe(Relation relation) {
  RowShape shape = {};
  shape.relation = RelationGetRelid(relation);
  shape.descriptor = RelationGetDescr(relation);
  shape.full_identity = relation->rd_rel->relreplident == REPLICA_IDENTITY_FULL;
  if (!shape.full_identity) shape.identity = IndexColumns(RelationGetReplicaIndex(relation));
  shape.primary_key = IndexColumns(PrimaryKeyIndex(relation));
  if (relation->rd_rel->relispartition) shape.ancestors = get_partition_ancestors(shape.relation);
  return shape;
}

bool SameShape(const RowShape& a, const RowShape& b) {
  return a.relation == b.relation && a.full_identity == b.full_identity &&
         equal(a.ancestors, b.ancestors) && equal(a.identity, b.identity) &&
         equal(a.primary_key, b.primary_key) && SameColumns(a.descriptor, b.descriptor);
}

int CompareOids(const void* a, const void* b) {
  return list_oid_cmp(static_cast<const ListCell*>(a), static_cast<const ListCell*>(b));
}

// Of other sessions, which see its rows alone, or gone already.
bool IsTemporaryOrGone(Oid relation) {
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
  if (!HeapTupleIsValid(tuple)) return true;
  const char persistence = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relpersistence;
  ReleaseSysCache(tuple);
  return persistence == RELPERSISTENCE_TEMP;
}

// Oids, ascending, of the partitions of a table, or of those that inherit from it, whose rows new
// queries of it read: as the catalogs have them, or had them at the point of the log under whose
// snapshot this is. Those of `known` are not temporary. In the current context.
List* ChildrenOf(Oid relation, const List* known) {
  if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation))) return NIL;
  bool any_detaching = false;
  List* found =
      find_inheritance_children_extended(relation, false, NoLock, &any_detaching, nullptr);
  List* children = NIL;
  int next_known = 0;
  ListCell* cell;
  foreach (cell, found) {
    CHECK_FOR_INTERRUPTS();
    const Oid child = lfirst_oid(cell);
    while (next_known < list_length(known) && list_nth_oid(known, next_known) < child) ++next_known;
    const bool is_known =
        next_known < list_length(known) && list_nth_oid(known, next_known) == child;
    if (!is_known && IsTemporaryOrGone(child)) continue;
    if (any_detaching && PartitionHasPendingDetach(child)) continue;
    children = lappend_oid(children, child);
  }
  list_free(found);
  return children;
}

RowShape* KeepShape(const RowShape& seen) {
  return InMemoryContext(tables_context, [&] {
    RowShape* shape = AllocateIn<RowShape>(tables_context);
    *shape = seen;
    shape->number = ++last_shape_number;
    ++shape_count;
    shape->identity = list_copy(seen.identity);
    shape->primary_key = list_copy(seen.primary_key);
    shape->ancestors = list_copy(seen.ancestors);
    // With constraints: they hold the values of columns added later.
    shape->descriptor = CreateTupleDescCopyConstr(seen.descriptor);
    shape->next = shapes;
    return shapes = shape;
  });
}

void FreeShape(RowShape* shape) {
  FreeTupleDesc(shape->descriptor);
  list_free(shape->identity);
  list_free(shape->primary_key);
  list_free(shape->ancestors);
  pfree(shape);
  --shape_count;
}

}  // namespace

void PrepareWatchedTables(MemoryContext context) {
  tables_context =
      AllocSetContextCreate(context, "live_queries watched tables", ALLOCSET_DEFAULT_SIZES);
  watched_tables =
      MakeHashTable("live_queries watched tables", &WatchedTable::relation, 64, tables_context);
  CacheRegisterRelcacheCallback(OnRelationChange, 0);
}

namespace {

// Reads the catalogs for one that nobody watched. An error has added nothing.
WatchedTable* FindOrAdd(Oid relation) {
  if (WatchedTable* known = FindWatched(relation)) return known;
  // Who watches a table first holds a lock on it until it is attached: no change of its storage
  // that matters lies between what is decoded and now.
  const TableStorage storage = StorageNow(relation);
  List* children = InMemoryContext(tables_context, [&] { return ChildrenOf(relation, NIL); });
  auto* table =
      static_cast<WatchedTable*>(hash_search(watched_tables, &relation, HASH_ENTER, nullptr));
  table->watchers = 0;
  table->identities = NIL;
  table->shape = nullptr;
  table->storage = storage;
  table->children = children;
  return table;
}

void RemoveUnlessWatched(const WatchedTable& table) {
  if (table.watchers > 0 || table.identities != NIL) return;
  const Oid relation = table.relation;
  list_free(table.children);
  hash_search(watched_tables, &relation, HASH_REMOVE, nullptr);
}

}  // namespace

void PrepareToWatch(Oid relation) { (void)FindOrAdd(relation); }

void WatchTable(Oid relation) { ++FindOrAdd(relation)->watchers; }

void UnwatchTable(Oid relation) {
  WatchedTable* table = FindWatched(relation);
  if (table == nullptr) return;
  --table->watchers;
  RemoveUnlessWatched(*table);
}

void WatchIdentities(Oid relation, const List* identities) {
  WatchedTable* table = identities == NIL ? FindWatched(relation) : FindOrAdd(relation);
  if (table == nullptr) return;
  table->identities = identities;
  RemoveUnlessWatched(*table);
}

bool RowsAreWatched(const WatchedTable* table) { return table->watchers > 0; }

const List* WatchedIdentities(const WatchedTable* table) { return table->identities; }

WatchedTable* FindWatched(Oid relation) {
  return static_cast<WatchedTable*>(hash_search(watched_tables, &relation, HASH_FIND, nullptr));
}

RowShape* ShapeOf(WatchedTable* table, Relation relation) {
  if (table->shape != nullptr) return table->shape;
  const RowShape seen = Describe(relation);
  RowShape* shape = shapes;
  while (shape != nullptr && !SameShape(*shape, seen)) shape = shape->next;
  return table->shape = shape != nullptr ? shape : KeepShape(seen);
}

bool NoticeStorage(WatchedTable* table, Relation relation) {
  const TableStorage storage = StorageOf(*relation->rd_rel);
  if (storage == table->storage) return false;
  table->storage = storage;
  return true;
}

List* NoticeChildren(const List* changed) {
  auto is_changed = [&](Oid relation) {
    ListCell key;
    key.oid_value = relation;
    return bsearch(&key, changed->elements, static_cast<size_t>(changed->length), sizeof(key),
                   CompareOids) != nullptr;
  };
  List* concerned = NIL;
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, watched_tables);
  while (auto* table = static_cast<WatchedTable*>(hash_seq_search(&scan))) {
    bool concerns = is_changed(table->relation);
    // One that goes need not be a change of its parent.
    ListCell* cell;
    foreach (cell, table->children) concerns = concerns || is_changed(lfirst_oid(cell));
    if (concerns) concerned = lappend(concerned, table);
  }
  List* noticed = NIL;
  ListCell* cell;
  foreach (cell, concerned) {
    auto* table = static_cast<WatchedTable*>(lfirst(cell));
    List* children = ChildrenOf(table->relation, table->children);
    if (!equal(children, table->children)) {
      List* kept = InMemoryContext(tables_context, [&] { return list_copy(children); });
      list_free(table->children);
      table->children = kept;
      noticed = lappend_oid(noticed, table->relation);
    }
    list_free(children);
  }
  list_free(concerned);
  return noticed;
}

void FreeUnusedShapes() {
  constexpr uint32 kFewShapes = 256;
  static uint32 enough = kFewShapes;  // twice what was left last time: it is not looked in vain
  if (shape_count < enough) return;
  for (RowShape** link = &shapes; *link != nullptr;) {
    RowShape* shape = *link;
    const WatchedTable* table = FindWatched(shape->relation);
    if (table != nullptr && table->shape == shape) {
      link = &shape->next;
      continue;
    }
    *link = shape->next;
    FreeShape(shape);
  }
  enough = shape_count * 2 > kFewShapes ? shape_count * 2 : kFewShapes;
  ++shape_generation;
}

uint32 ShapeGeneration() { return shape_generation; }

}  // namespace live_queries
