// The routing index of a template: from the values of its routing columns to the subscriptions that
// want them. A change is looked up once, however many watch. Process: decoder.
#include "template/routing_index.hpp"

#include "pg/memory.hpp"
#include "query/tree.hpp"
#include "template/template.hpp"

extern "C" {
#include "common/hashfn.h"
#include "nodes/nodeFuncs.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace live_queries {
namespace {

struct Bucket {
  uint32 hash;  // hash key
  Route* first;
};

const Var* RouteColumn(const OpExpr* condition) {
  return castNode(Var, WithoutRelabel(static_cast<Node*>(linitial(condition->args))));
}

uint32 HashValues(const Template& one, const Datum* values) {
  uint32 hash = 0;
  for (int i = 0; i < list_length(one.spec.routing_conditions); ++i)
    hash = hash_combine(hash, DatumGetUInt32(FunctionCall1Coll(
                                  &one.route_hash[i], one.route_collations[i], values[i])));
  return hash;
}

bool EqualValues(const Template& one, const Datum* a, const Datum* b) {
  for (int i = 0; i < list_length(one.spec.routing_conditions); ++i)
    if (!DatumGetBool(FunctionCall2Coll(&one.route_equal[i], one.route_collations[i], a[i], b[i])))
      return false;
  return true;
}

Route* LookUp(const Template& one, const Datum* values, uint32 hash) {
  Bucket* bucket = static_cast<Bucket*>(hash_search(one.routes, &hash, HASH_FIND, nullptr));
  for (Route* route = bucket == nullptr ? nullptr : bucket->first; route != nullptr;
       route = route->next_same_hash)
    if (EqualValues(one, route->values, values)) return route;
  return nullptr;
}

Route* NewRoute(Template* one) {
  return InMemoryContext(one->context, [&] {
    Route* route = AllocateIn<Route>(one->context);
    route->owner = one;
    return route;
  });
}

Route* AddRoute(Template* one, List* constants, const Datum* values, uint32 hash) {
  Route* route = NewRoute(one);
  route->hash = hash;
  const int count = list_length(constants);
  InMemoryContext(one->context, [&] {
    route->values = static_cast<Datum*>(palloc(sizeof(Datum) * count));
    for (int i = 0; i < count; ++i) {
      const Const* constant = list_nth_node(Const, constants, i);
      route->values[i] = datumCopy(values[i], constant->constbyval, constant->constlen);
    }
  });
  bool found;
  Bucket* bucket = static_cast<Bucket*>(hash_search(one->routes, &hash, HASH_ENTER, &found));
  route->next_same_hash = found ? bucket->first : nullptr;
  bucket->first = route;
  return route;
}

}  // namespace

void PrepareRouting(Template* one) {
  const int count = list_length(one->spec.routing_conditions);
  if (count == 0) return;
  one->route_columns = static_cast<AttrNumber*>(palloc(sizeof(AttrNumber) * count));
  one->route_by_value = static_cast<bool*>(palloc(count));
  one->route_hash = static_cast<FmgrInfo*>(palloc0(sizeof(FmgrInfo) * count));
  one->route_equal = static_cast<FmgrInfo*>(palloc0(sizeof(FmgrInfo) * count));
  one->route_collations = static_cast<Oid*>(palloc(sizeof(Oid) * count));
  ListCell* cell;
  foreach (cell, one->spec.routing_conditions) {
    const int i = foreach_current_index(cell);
    const OpExpr* condition = lfirst_node(OpExpr, cell);
    const Oid type = exprType(static_cast<Node*>(linitial(condition->args)));
    const TypeCacheEntry* entry = lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_HASH_PROC);
    one->route_columns[i] = RouteColumn(condition)->varattno;
    one->route_by_value[i] = entry->typbyval;
    fmgr_info_cxt(entry->hash_proc, &one->route_hash[i], one->context);
    fmgr_info_cxt(get_opcode(entry->eq_opr), &one->route_equal[i], one->context);
    one->route_collations[i] = condition->inputcollid;
  }
  HASHCTL control = {};
  control.keysize = sizeof(uint32);
  control.entrysize = sizeof(Bucket);
  control.hcxt = one->context;
  one->routes =
      hash_create("live_queries routes", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

Route* FindOrAddRoute(Template* one, const char* route_text) {
  if (one->routes == nullptr) {
    if (one->only_route == nullptr) {
      one->only_route = NewRoute(one);
      ++one->route_count;
    }
    return one->only_route;
  }
  List* constants = static_cast<List*>(stringToNode(route_text));
  Datum values[kMaxRoutingColumns] = {};
  for (int i = 0; i < list_length(constants); ++i)
    values[i] = list_nth_node(Const, constants, i)->constvalue;
  const uint32 hash = HashValues(*one, values);
  if (Route* found = LookUp(*one, values, hash)) return found;
  Route* route = AddRoute(one, constants, values, hash);
  ++one->route_count;
  return route;
}

void FreeRoute(Route* route) {
  Template* one = route->owner;
  --one->route_count;
  if (one->routes == nullptr) {
    one->only_route = nullptr;
  } else {
    Bucket* bucket =
        static_cast<Bucket*>(hash_search(one->routes, &route->hash, HASH_FIND, nullptr));
    Route** link = &bucket->first;
    while (*link != route) link = &(*link)->next_same_hash;
    *link = route->next_same_hash;
    if (bucket->first == nullptr) hash_search(one->routes, &route->hash, HASH_REMOVE, nullptr);
    // No catalog is read: after an error this is outside of any transaction.
    for (int i = 0; i < list_length(one->spec.routing_conditions); ++i)
      if (!one->route_by_value[i]) pfree(DatumGetPointer(route->values[i]));
    pfree(route->values);
  }
  ClearBody(route);
  pfree(route);
}

void CountListening(Route* route, int change) {
  route->listening += change;
  route->owner->listening += change;
}

Route* FindRoute(Template* one, TupleTableSlot* row) {
  auto if_wanted = [](Route* route) {
    return route != nullptr && route->listening > 0 ? route : nullptr;
  };
  if (one->routes == nullptr) return if_wanted(one->only_route);
  Datum values[kMaxRoutingColumns];
  for (int i = 0; i < list_length(one->spec.routing_conditions); ++i) {
    const int column = one->route_columns[i] - 1;
    if (row->tts_isnull[column]) return nullptr;
    values[i] = row->tts_values[column];
  }
  return if_wanted(LookUp(*one, values, HashValues(*one, values)));
}

void ClearBody(Route* route) {
  route->change_count = 0;
  if (route->body.data != nullptr) pfree(route->body.data);
  route->body = {};
}

void ForEachRoute(Template* one, void (*visit)(Route*, void*), void* context) {
  if (one->routes == nullptr) {
    if (one->only_route != nullptr) visit(one->only_route, context);
    return;
  }
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, one->routes);
  while (Bucket* bucket = static_cast<Bucket*>(hash_seq_search(&scan)))
    for (Route* route = bucket->first; route != nullptr; route = route->next_same_hash)
      visit(route, context);
}

}  // namespace live_queries
