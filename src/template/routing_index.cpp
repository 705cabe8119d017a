// Finds routes by the values of a row: by a hash of equalities and of the elements of a list, or of
// the keys of an array or a jsonb; or by a prefix or the bounds of a column; what the index does
// not answer is then asked of each route that was found. Process: decoder.
#include "template/routing_index.hpp"

#include "analyze/routing_choice.hpp"
#include "analyze/text_patterns.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "pg/try_catch.hpp"
#include "template/guard.hpp"
#include "template/routing_group.hpp"
#include "template/routing_index_parts.hpp"

extern "C" {
#include "common/hashfn.h"
}

namespace live_queries {
namespace {

// ----- the index -----

void NoteIndexed(RoutingIndex* index, RoutingCondition* condition) {
  if (condition->kind == RoutingKind::kEquality)
    index->equalities[index->equality_count++] = condition;
  else if (condition->kind == RoutingKind::kList || condition->kind == RoutingKind::kKeys)
    index->list = condition;
  else if (condition->kind == RoutingKind::kPrefix)
    index->prefix = condition;
  else if (IsLowBound(condition->strategy))
    index->low = condition;
  else
    index->high = condition;
}

uint32 HashEqualities(const RoutingIndex* index, const Datum* values) {
  uint32 hash = 0;
  for (int i = 0; i < index->equality_count; ++i) {
    RoutingCondition* condition = index->equalities[i];
    hash = AddToHash(hash, condition, values[NumberOf(index, condition)]);
  }
  return hash;
}

bool EqualitiesHold(const RoutingIndex* index, const Datum* values, const Route& route) {
  for (int i = 0; i < index->equality_count; ++i) {
    RoutingCondition* condition = index->equalities[i];
    const int number = NumberOf(index, condition);
    if (!Holds(condition, values[number], route.values[number])) return false;
  }
  return true;
}

uint32 HashConstants(const RoutingIndex* index, const Datum* values) {
  uint32 hash = 0;
  for (int i = 0; i < index->count; ++i)
    hash = hash_combine(hash, HashConstant(index->conditions[i], values[i]));
  return hash;
}

bool AreSameConstants(const RoutingIndex* index, const Datum* a, const Datum* b) {
  for (int i = 0; i < index->count; ++i)
    if (!SameConstant(index->conditions[i], a[i], b[i])) return false;
  return true;
}

// The table in which RouteEntry::same stands; nullptr: without conditions.
RoutePlaces* PlacesOfSame(RoutingIndex* index) {
  if (index->count == 0) return nullptr;
  return index->by_equalities_alone ? &index->by_values : &index->by_constants;
}

// ----- routes that come and go -----

// The route of these constants; and their hash.
Route* FindSame(Template* common, const Datum* constants, uint32* hash) {
  RoutingIndex* index = common->routing;
  Route* same = nullptr;
  if (index->count == 0) return index->first;
  if (index->by_equalities_alone) {
    // The operators of the columns' types may be written in SQL.
    GuardAttaching(common, [&] {
      *hash = HashEqualities(index, constants);
      for (RoutePlace* place = index->by_values.Find(*hash); place != nullptr && same == nullptr;
           place = RoutePlaces::Next(place))
        if (EqualitiesHold(index, constants, *place->route)) same = place->route;
    });
    return same;
  }
  *hash = HashConstants(index, constants);
  for (RoutePlace* place = index->by_constants.Find(*hash); place != nullptr;
       place = RoutePlaces::Next(place))
    if (AreSameConstants(index, constants, place->route->values)) return place->route;
  return nullptr;
}

// What begins as the pattern of a route asks for, by bytes. In CurrentMemoryContext.
void SetPrefix(const RoutingCondition& condition, Datum pattern, RouteInterval* interval) {
  text* prefix = PrefixOf(condition.holds.fn_oid, pattern);
  text* beyond = BeyondPrefix(prefix);
  interval->low.value = PointerGetDatum(prefix);
  interval->low.kind =
      LIVE_QUERIES_MUTATION("exclude_prefixes") ? BoundKind::kExclusive : BoundKind::kInclusive;
  if (beyond == nullptr) return;
  interval->high.value = PointerGetDatum(beyond);
  interval->high.kind = BoundKind::kExclusive;
}

void FreePrefix(RouteInterval* interval) {
  pfree(DatumGetPointer(interval->low.value));
  if (interval->high.kind != BoundKind::kUnbounded) pfree(DatumGetPointer(interval->high.value));
}

// In CurrentMemoryContext, that of the template.
Route* MakeRoute(Template* common, const Datum* constants, uint32 hash) {
  const RoutingIndex* index = common->routing;
  Route* route = AllocateIn<Route>(CurrentMemoryContext);
  RouteEntry* entry = AllocateIn<RouteEntry>(CurrentMemoryContext);
  route->owner = common;
  route->entry = entry;
  entry->same.route = route;
  entry->same.hash = hash;
  if (index->count == 0) return route;
  route->values = static_cast<Datum*>(palloc(sizeof(Datum) * index->count));
  if (index->has_elements)
    entry->elements = static_cast<RouteElements*>(palloc0(sizeof(RouteElements) * index->count));
  for (int i = 0; i < index->count; ++i) {
    RouteElements elements;
    route->values[i] = CopyConstant(index->conditions[i], constants[i], &elements);
    if (index->has_elements) entry->elements[i] = elements;
  }
  if (IsHashed(*index) && !index->by_equalities_alone) {
    const size_t places =
        index->list == nullptr ? 1 : ElementsAt(*route, NumberOf(index, index->list)).size();
    entry->places =
        static_cast<RoutePlace*>(palloc0(sizeof(RoutePlace) * std::max<size_t>(places, 1)));
  }
  if (index->kind == RoutingIndexKind::kIntervals)
    entry->interval = AllocateIn<RouteInterval>(CurrentMemoryContext);
  if (index->prefix != nullptr)
    SetPrefix(*index->prefix, route->values[NumberOf(index, index->prefix)], entry->interval);
  return route;
}

void FreeMemoryOf(Route* route) {
  const RoutingIndex* index = route->owner->routing;
  RouteEntry* entry = route->entry;
  for (int i = 0; i < index->count; ++i)
    FreeConstant(index->conditions[i], route->values[i], ElementsAt(*route, i));
  if (route->values != nullptr) pfree(route->values);
  if (entry->elements != nullptr) pfree(entry->elements);
  if (entry->places != nullptr) pfree(entry->places);
  if (RouteInterval* interval = entry->interval) {
    if (index->prefix != nullptr) FreePrefix(interval);
    pfree(interval);
  }
  pfree(entry);
  pfree(route);
}

bool HasPlace(const RouteEntry& entry, RoutingCondition* list, uint32 hash, Datum element) {
  for (int i = 0; i < entry.place_count; ++i)
    if (entry.places[i].hash == hash && SameElement(list, entry.places[i].element, element))
      return true;
  return false;
}

// One for each element, equal ones once. May run code of users.
void FindPlaces(const RoutingIndex* index, Route* route) {
  RouteEntry* entry = route->entry;
  if (entry->places == nullptr) return;
  const uint32 equalities = HashEqualities(index, route->values);
  if (index->list == nullptr) {
    entry->places[entry->place_count++] = {nullptr, nullptr, route, 0, equalities};
    return;
  }
  for (const Datum element : ElementsAt(*route, NumberOf(index, index->list))) {
    const uint32 hash = AddToHash(equalities, index->list, element);
    if (HasPlace(*entry, index->list, hash, element)) continue;
    entry->places[entry->place_count++] = {nullptr, nullptr, route, element, hash};
  }
}

void SetEnd(const RoutingIndex* index, const RoutingCondition* bound, const Datum* constants,
            IntervalEnd<Datum>* end) {
  if (bound == nullptr) return;
  const bool inclusive = bound->strategy == BTGreaterEqualStrategyNumber ||
                         bound->strategy == BTLessEqualStrategyNumber;
  end->value = constants[NumberOf(index, bound)];
  end->kind = inclusive && !LIVE_QUERIES_MUTATION("exclude_bounds") ? BoundKind::kInclusive
                                                                    : BoundKind::kExclusive;
}

// One of those that the intervals are of; nullptr: none.
RoutingCondition* OrderOf(const RoutingIndex* index) {
  if (index->prefix != nullptr) return index->prefix;
  return index->low != nullptr ? index->low : index->high;
}

void AddInterval(RoutingIndex* index, Route* route) {
  RouteInterval* interval = route->entry->interval;
  if (interval == nullptr) return;
  RoutingCondition* order = OrderOf(index);
  interval->route = route;
  SetEnd(index, index->low, route->values, &interval->low);
  SetEnd(index, index->high, route->values, &interval->high);
  for (IntervalEnd<Datum>* end : {&interval->low, &interval->high})
    if (end->kind != BoundKind::kUnbounded) end->key = KeyOf(order->order_key, end->value);
  index->intervals.Insert(
      interval, [&](Datum a, Datum b) { return CompareValues(order, a, b); },
      [&] { return AllocateIn<IntervalBlock<Datum>>(route->owner->context); });
}

// All of an addition that may fail. What it leaves then is undone by FreeMemoryOf and Remove of the
// intervals.
void PrepareToAdd(Template* common, Route* route) {
  RoutingIndex* index = common->routing;
  RouteEntry* entry = route->entry;
  if (entry->places != nullptr || entry->interval != nullptr)
    GuardAttaching(common, [&] {
      FindPlaces(index, route);
      AddInterval(index, route);
    });
  for (const RoutePlace& place : ValuePlaces(index, entry))
    if (index->by_values.Find(place.hash) == nullptr) ReserveInGroup(common, place.hash);
  index->by_values.Reserve({entry->places, static_cast<size_t>(entry->place_count)});
  if (RoutePlaces* same = PlacesOfSame(index)) same->Reserve({&entry->same, 1});
}

// A template stands in its group once for each hash.
void NoteInGroup(Template* common, uint32 hash) {
  if (common->routing->by_values.Find(hash) == nullptr) AddToGroup(common, hash);
}

void ForgetInGroup(Template* common, uint32 hash) {
  if (common->routing->by_values.Find(hash) == nullptr) RemoveFromGroup(common, hash);
}

Route* AddRoute(Template* common, const Datum* constants, uint32 hash) {
  RoutingIndex* index = common->routing;
  Route* route =
      InMemoryContext(common->context, [&] { return MakeRoute(common, constants, hash); });
  RouteEntry* entry = route->entry;
  TryCatch(
      CurrentMemoryContext, [&] { PrepareToAdd(common, route); },
      [&](ErrorData* error) {
        RemoveInterval(index, entry);
        FreeMemoryOf(route);
        ReThrowError(error);
      });
  if (index->by_equalities_alone) NoteInGroup(common, hash);
  for (int i = 0; i < entry->place_count; ++i) {
    NoteInGroup(common, entry->places[i].hash);
    index->by_values.Add(&entry->places[i]);
  }
  if (RoutePlaces* same = PlacesOfSame(index)) same->Add(&entry->same);
  entry->next = index->first;
  entry->link = &index->first;
  if (entry->next != nullptr) entry->next->entry->link = &entry->next;
  index->first = route;
  ++common->route_count;
  return route;
}

// ----- rows -----

// What a row has in the columns of the conditions, beside these.
struct Search {
  RoutingIndex* index;
  Datum values[kMaxRoutingColumns];
  RouteSet* found;
  int looked_at;  // routes
};

void MakeReady(Search* search, const RoutingCondition* condition) {
  if (condition == nullptr) return;
  Datum* value = &search->values[NumberOf(search->index, condition)];
  *value = ReadyToCompare(*condition, *value);
}

bool ChecksHold(const Search& search, const Route& route) {
  const RoutingIndex* index = search.index;
  for (int i = 0; i < index->checked_count; ++i) {
    RoutingCondition* condition = index->checked[i];
    const int number = NumberOf(index, condition);
    const Datum value = search.values[number];
    const bool holds = condition->kind == RoutingKind::kList
                           ? HoldsOfAny(condition, value, ElementsAt(route, number))
                           : Holds(condition, value, route.values[number]);
    if (!holds) return false;
  }
  return true;
}

// A route that the index has found. What an operator of users fails with is its fault alone, and so
// is a pattern that takes too long, or a jsonb that takes more than there is of the stack.
void Consider(Search& search, Route* route) {
  constexpr int kRoutesAtOnce = 1000;
  if (++search.looked_at % kRoutesAtOnce == 0) CheckGuard();
  if (route->listening == 0) return;
  bool holds = search.index->checked_count == 0 || LIVE_QUERIES_MUTATION("trust_candidates");
  if (!holds && !route->owner->dependencies.user_code && !search.index->may_fail)
    holds = ChecksHold(search, *route);
  else if (!holds)
    BlamingRoutes({&route, 1}, [&] { holds = ChecksHold(search, *route); });
  if (holds) search.found->Add(route);
}

// Whether the running search by keys has not come to a route yet. A value has some keys very often,
// or many of those that a route asks for.
bool IsNew(const RoutingIndex& index, RouteEntry* entry) {
  if (entry->considered_in == index.searches) return false;
  entry->considered_in = index.searches;
  return true;
}

// `element`: of the column of the list, if there is one.
void FindAtHash(Search& search, uint32 hash, Datum element) {
  const RoutingIndex* index = search.index;
  for (RoutePlace* place = index->by_values.Find(hash); place != nullptr;
       place = RoutePlaces::Next(place)) {
    if (place->route->listening == 0) continue;
    if (!EqualitiesHold(index, search.values, *place->route)) continue;
    if (index->list != nullptr && !SameElement(index->list, element, place->element)) continue;
    if (index->kind == RoutingIndexKind::kKeys && !IsNew(*index, place->route->entry)) continue;
    Consider(search, place->route);
  }
}

void FindByElement(Search& search, uint32 equalities, Datum element) {
  FindAtHash(search, AddToHash(equalities, search.index->list, element), element);
}

void FindByHash(Search& search) {
  const RoutingIndex* index = search.index;
  const uint32 hash = HashEqualities(index, search.values);
  if (index->list == nullptr)
    FindAtHash(search, hash, 0);
  else
    FindByElement(search, hash, search.values[NumberOf(index, index->list)]);
}

// To ask those is cheaper than to take the value apart.
bool HasFewRoutes(const RoutingIndex& index) {
  constexpr int kFew = 2;
  return index.first == nullptr || index.first->owner->route_count <= kFew;
}

void BeginSearch(RoutingIndex* index) {
  if (++index->searches != 0) return;
  // Their number comes again.
  for (Route* route = index->first; route != nullptr; route = route->entry->next)
    route->entry->considered_in = 0;
  index->searches = 1;
}

void FindByKeys(Search& search) {
  RoutingIndex* index = search.index;
  BeginSearch(index);
  const uint32 hash = HashEqualities(index, search.values);
  for (const Datum key : KeysOf(*index->list, search.values[NumberOf(index, index->list)])) {
    FindByElement(search, hash, key);
    if (LIVE_QUERIES_MUTATION("first_key_alone")) break;
  }
  FreeKeysOf(*index->list);
}

void FindByIntervals(Search& search) {
  RoutingCondition* order = OrderOf(search.index);
  const Datum value = search.values[NumberOf(search.index, order)];
  search.index->intervals.ForEachContaining(
      value, KeyOf(order->order_key, value),
      [&](Datum a, Datum b) { return CompareValues(order, a, b); },
      [&](RouteInterval& interval) { Consider(search, interval.route); });
}

void FindAmongAll(Search& search) {
  for (Route* route = search.index->first; route != nullptr; route = route->entry->next)
    Consider(search, route);
}

}  // namespace

RoutingIndex* MakeRoutingIndex(List* routing_conditions) {
  RoutingIndex* index = AllocateIn<RoutingIndex>(CurrentMemoryContext);
  index->conditions = static_cast<RoutingCondition*>(
      palloc0(sizeof(RoutingCondition) * static_cast<size_t>(list_length(routing_conditions))));
  ListCell* cell;
  foreach (cell, routing_conditions) {
    RoutingCondition* condition = &index->conditions[index->count++];
    PrepareRoutingCondition(condition, static_cast<Node*>(lfirst(cell)));
    const bool keys = condition->kind == RoutingKind::kKeys;
    index->has_elements = index->has_elements || keys || condition->kind == RoutingKind::kList;
    index->may_fail = index->may_fail || keys || condition->kind == RoutingKind::kPrefix;
  }
  const RoutingChoice choice = ChooseRoutingIndex(routing_conditions);
  index->kind = choice.kind;
  foreach (cell, choice.indexed) NoteIndexed(index, &index->conditions[lfirst_int(cell)]);
  foreach (cell, choice.checked)
    index->checked[index->checked_count++] = &index->conditions[lfirst_int(cell)];
  index->by_equalities_alone = index->count > 0 && index->equality_count == index->count;
  if (IsHashed(*index)) index->by_values.Prepare();
  if (index->count > 0 && !index->by_equalities_alone) index->by_constants.Prepare();
  return index;
}

Route* FindOrAddRoute(Template* common, const char* route_text) {
  Datum constants[kMaxRoutingColumns] = {};
  ListCell* cell;
  foreach (cell, static_cast<List*>(stringToNode(route_text)))
    constants[foreach_current_index(cell)] = lfirst_node(Const, cell)->constvalue;
  uint32 hash = 0;
  Route* route = FindSame(common, constants, &hash);
  return route != nullptr ? route : AddRoute(common, constants, hash);
}

// No catalog is read, and no operator called: after an error this is outside of any transaction.
void FreeRoute(Route* route) {
  RoutingIndex* index = route->owner->routing;
  RouteEntry* entry = route->entry;
  --route->owner->route_count;
  for (int i = 0; i < entry->place_count; ++i) {
    index->by_values.Remove(&entry->places[i]);
    ForgetInGroup(route->owner, entry->places[i].hash);
  }
  if (RoutePlaces* same = PlacesOfSame(index)) same->Remove(&entry->same);
  if (index->by_equalities_alone) ForgetInGroup(route->owner, entry->same.hash);
  RemoveInterval(index, entry);
  *entry->link = entry->next;
  if (entry->next != nullptr) entry->next->entry->link = entry->link;
  ClearBody(route);
  FreeMemoryOf(route);
}

void CountListening(Route* route, int change) {
  route->listening += change;
  route->owner->listening += change;
}

void FindRoutes(RoutingIndex* index, TupleTableSlot* row, RouteSet* found) {
  Datum values[kMaxRoutingColumns] = {};
  bool nulls[kMaxRoutingColumns] = {};
  for (int i = 0; i < index->count; ++i) {
    const int column = index->conditions[i].column - 1;
    values[i] = row->tts_values[column];
    nulls[i] = row->tts_isnull[column];
  }
  FindRoutes(index, values, nulls, found);
}

void FindRoutes(RoutingIndex* index, const Datum* values, const bool* nulls, RouteSet* found) {
  found->Clear();
  Search search = {index, {}, found, 0};
  for (int i = 0; i < index->count; ++i) {
    if (nulls[i]) return;  // of which no condition holds
    search.values[i] = values[i];
  }
  for (int i = 0; i < index->checked_count; ++i) MakeReady(&search, index->checked[i]);
  MakeReady(&search, OrderOf(index));
  if (index->kind == RoutingIndexKind::kHash)
    FindByHash(search);
  else if (index->kind == RoutingIndexKind::kKeys && !HasFewRoutes(*index))
    FindByKeys(search);
  else if (index->kind == RoutingIndexKind::kIntervals)
    FindByIntervals(search);
  else
    FindAmongAll(search);
  found->Sort();
}

List* HashedConditions(const RoutingIndex* index) {
  if (index->kind != RoutingIndexKind::kHash) return NIL;
  List* hashed = NIL;
  for (int i = 0; i < index->equality_count; ++i) hashed = lappend(hashed, index->equalities[i]);
  return index->list == nullptr ? hashed : lappend(hashed, index->list);
}

void ForEachHash(const RoutingIndex* index, void (*visit)(uint32, void*), void* context) {
  for (Route* route = index->first; route != nullptr; route = route->entry->next)
    for (const RoutePlace& place : ValuePlaces(index, route->entry)) visit(place.hash, context);
}

void ClearBody(Route* route) {
  route->change_count = 0;
  if (route->body.data != nullptr) pfree(route->body.data);
  route->body = {};
}

void ForEachRoute(Template* common, void (*visit)(Route*, void*), void* context) {
  for (Route* route = common->routing->first; route != nullptr;) {
    Route* const next = route->entry->next;
    visit(route, context);
    route = next;
  }
}

}  // namespace live_queries
