// By the values of `column = constant`: a hash index over all such columns of the template. A
// change is looked up once, however many watch. Process: decoder.
#include "template/routing_index.hpp"

#include "analyze/routing_conditions.hpp"
#include "analyze/tree.hpp"
#include "pg/memory.hpp"
#include "template/guard.hpp"

extern "C" {
#include "common/hashfn.h"
#include "nodes/nodeFuncs.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace live_queries {

struct RoutingColumn {
  AttrNumber number;
  bool by_value;
  FmgrInfo hash;
  FmgrInfo equal;
  Oid collation;
};

struct RoutingIndex {
  int count;  // of columns, beside spec.routing_conditions
  RoutingColumn columns[kMaxRoutingColumns];
  HTAB* buckets;      // by hash; unused without columns
  Route* only_route;  // without
};

namespace {

struct Bucket {
  uint32 hash;  // hash key
  Route* first;
};

const Var* RouteColumn(const OpExpr* condition) {
  return castNode(Var, WithoutRelabel(static_cast<Node*>(linitial(condition->args))));
}

void PrepareColumn(RoutingColumn* column, const OpExpr* condition) {
  const Oid type = exprType(static_cast<Node*>(linitial(condition->args)));
  const TypeCacheEntry* entry = lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_HASH_PROC);
  column->number = RouteColumn(condition)->varattno;
  column->by_value = entry->typbyval;
  fmgr_info(entry->hash_proc, &column->hash);
  fmgr_info(get_opcode(entry->eq_opr), &column->equal);
  column->collation = condition->inputcollid;
}

uint32 HashValues(RoutingIndex* index, const Datum* values) {
  uint32 hash = 0;
  for (int i = 0; i < index->count; ++i) {
    RoutingColumn* column = &index->columns[i];
    hash = hash_combine(
        hash, DatumGetUInt32(FunctionCall1Coll(&column->hash, column->collation, values[i])));
  }
  return hash;
}

bool EqualValues(RoutingIndex* index, const Datum* a, const Datum* b) {
  for (int i = 0; i < index->count; ++i) {
    RoutingColumn* column = &index->columns[i];
    if (!DatumGetBool(FunctionCall2Coll(&column->equal, column->collation, a[i], b[i])))
      return false;
  }
  return true;
}

Bucket* BucketOf(RoutingIndex* index, uint32 hash, HASHACTION action, bool* found) {
  return static_cast<Bucket*>(hash_search(index->buckets, &hash, action, found));
}

Route* LookUp(RoutingIndex* index, const Datum* values, uint32 hash) {
  const Bucket* bucket = BucketOf(index, hash, HASH_FIND, nullptr);
  for (Route* route = bucket == nullptr ? nullptr : bucket->first; route != nullptr;
       route = route->next_same_hash)
    if (EqualValues(index, route->values, values)) return route;
  return nullptr;
}

Route* NewRoute(Template* common) {
  Route* route = AllocateIn<Route>(common->context);
  route->owner = common;
  return route;
}

Route* AddRoute(Template* common, List* constants, const Datum* values, uint32 hash) {
  Route* route = NewRoute(common);
  route->hash = hash;
  const int count = list_length(constants);
  InMemoryContext(common->context, [&] {
    route->values = static_cast<Datum*>(palloc(sizeof(Datum) * count));
    for (int i = 0; i < count; ++i) {
      const Const* constant = list_nth_node(Const, constants, i);
      route->values[i] = datumCopy(values[i], constant->constbyval, constant->constlen);
    }
  });
  bool found;
  Bucket* bucket = BucketOf(common->routing, hash, HASH_ENTER, &found);
  route->next_same_hash = found ? bucket->first : nullptr;
  bucket->first = route;
  return route;
}

// No catalog is read: after an error this is outside of any transaction.
void RemoveFromBucket(RoutingIndex* index, Route* route) {
  Bucket* bucket = BucketOf(index, route->hash, HASH_FIND, nullptr);
  Route** link = &bucket->first;
  while (*link != route) link = &(*link)->next_same_hash;
  *link = route->next_same_hash;
  if (bucket->first == nullptr) (void)BucketOf(index, route->hash, HASH_REMOVE, nullptr);
  for (int i = 0; i < index->count; ++i)
    if (!index->columns[i].by_value) pfree(DatumGetPointer(route->values[i]));
  pfree(route->values);
}

}  // namespace

RoutingIndex* MakeRoutingIndex(List* routing_conditions) {
  RoutingIndex* index = AllocateIn<RoutingIndex>(CurrentMemoryContext);
  ListCell* cell;
  foreach (cell, routing_conditions)
    PrepareColumn(&index->columns[index->count++], lfirst_node(OpExpr, cell));
  if (index->count == 0) return index;
  HASHCTL control = {};
  control.keysize = sizeof(uint32);
  control.entrysize = sizeof(Bucket);
  control.hcxt = CurrentMemoryContext;
  index->buckets =
      hash_create("live_queries routes", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
  return index;
}

Route* FindOrAddRoute(Template* common, const char* route_text) {
  RoutingIndex* index = common->routing;
  if (index->count == 0) {
    if (index->only_route == nullptr) {
      index->only_route = NewRoute(common);
      ++common->route_count;
    }
    return index->only_route;
  }
  List* constants = static_cast<List*>(stringToNode(route_text));
  Datum values[kMaxRoutingColumns] = {};
  for (int i = 0; i < list_length(constants); ++i)
    values[i] = list_nth_node(Const, constants, i)->constvalue;
  uint32 hash = 0;
  Route* route = nullptr;
  // The operators of the columns' types may be written in SQL.
  GuardAttaching(common, [&] {
    hash = HashValues(index, values);
    route = LookUp(index, values, hash);
  });
  if (route != nullptr) return route;
  route = AddRoute(common, constants, values, hash);
  ++common->route_count;
  return route;
}

void FreeRoute(Route* route) {
  RoutingIndex* index = route->owner->routing;
  --route->owner->route_count;
  if (index->count == 0)
    index->only_route = nullptr;
  else
    RemoveFromBucket(index, route);
  ClearBody(route);
  pfree(route);
}

void CountListening(Route* route, int change) {
  route->listening += change;
  route->owner->listening += change;
}

void FindRoutes(RoutingIndex* index, TupleTableSlot* row, RouteSet* found) {
  Datum values[kMaxRoutingColumns] = {};
  bool nulls[kMaxRoutingColumns] = {};
  for (int i = 0; i < index->count; ++i) {
    const int column = index->columns[i].number - 1;
    values[i] = row->tts_values[column];
    nulls[i] = row->tts_isnull[column];
  }
  FindRoutes(index, values, nulls, found);
}

void FindRoutes(RoutingIndex* index, const Datum* values, const bool* nulls, RouteSet* found) {
  found->Clear();
  for (int i = 0; i < index->count; ++i)
    if (nulls[i]) return;
  Route* route =
      index->count == 0 ? index->only_route : LookUp(index, values, HashValues(index, values));
  if (route != nullptr && route->listening > 0) found->Add(route);
}

void ClearBody(Route* route) {
  route->change_count = 0;
  if (route->body.data != nullptr) pfree(route->body.data);
  route->body = {};
}

void ForEachRoute(Template* common, void (*visit)(Route*, void*), void* context) {
  RoutingIndex* index = common->routing;
  if (index->only_route != nullptr) visit(index->only_route, context);
  if (index->count == 0) return;
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, index->buckets);
  while (Bucket* bucket = static_cast<Bucket*>(hash_seq_search(&scan)))
    for (Route* route = bucket->first; route != nullptr; route = route->next_same_hash)
      visit(route, context);
}

}  // namespace live_queries
