// Rows are compared as the server's sort does it. Process: evaluator.
#include "evaluate/list_boundaries.hpp"

#include "analyze/tree.hpp"
#include "evaluate/kept_groups.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/sortsupport.h"
}

namespace live_queries {

struct ListBoundaries {
  const ListBoundary* plan;
  int route_count;  // what tells the lists apart
  KeptGroups* kept;
  KeptGroup* first;  // of those that have rows in this batch
  KeptGroup** end;
  int order_count;
  SortSupportData* order;
  int16* lengths;  // of what they are ordered by
  bool* by_value;
  AttrNumber* columns;    // of the result
  MemoryContext scratch;  // for one row
  int compared;           // rows of the batch with the end of the only list
  int noted;              // lists that have rows in the batch
};

namespace {

// Of a list alone, more of them are not worth it to be read, where one tells that it is stale.
constexpr int kMostCompared = 1000;

// Where one batch evaluates more lists, it is not known of the others where they end: what is kept
// would go beyond what may be, and others' with it.
constexpr int kMostNoted = 5000;

void PrepareOrder(MemoryContext context, ListBoundaries* lists) {
  const ListBoundary& plan = *lists->plan;
  lists->order_count = list_length(plan.values);
  const auto count = static_cast<size_t>(lists->order_count);
  lists->order = static_cast<SortSupportData*>(palloc0(sizeof(SortSupportData) * count));
  lists->lengths = static_cast<int16*>(palloc(sizeof(int16) * count));
  lists->by_value = static_cast<bool*>(palloc(sizeof(bool) * count));
  lists->columns = static_cast<AttrNumber*>(palloc(sizeof(AttrNumber) * count));
  for (int i = 0; i < lists->order_count; ++i) {
    const Node* value = static_cast<Node*>(list_nth(plan.values, i));
    const auto* clause = list_nth_node(SortGroupClause, plan.clauses, i);
    SortSupportData* order = &lists->order[i];
    order->ssup_cxt = context;
    order->ssup_collation = exprCollation(value);
    order->ssup_nulls_first = clause->nulls_first;
    PrepareSortSupportFromOrderingOp(clause->sortop, order);
    get_typlenbyval(exprType(value), &lists->lengths[i], &lists->by_value[i]);
    lists->columns[i] = static_cast<AttrNumber>(list_nth_int(plan.columns, i));
  }
}

// As the list of these values is found. In CurrentMemoryContext.
std::string_view KeyOf(const ListBoundaries& lists, const Datum* values, Datum** copy,
                       bool** nulls) {
  const auto count = static_cast<size_t>(lists.route_count);
  *copy = static_cast<Datum*>(palloc(sizeof(Datum) * (count + 1)));
  *nulls = static_cast<bool*>(palloc0(sizeof(bool) * (count + 1)));
  for (size_t i = 0; i < count; ++i) (*copy)[i] = values[i];
  return lists.kept->TakeKey(*copy, *nulls);
}

KeptGroup* FindList(const ListBoundaries& lists, const Datum* values) {
  Datum* copy;
  bool* nulls;
  return lists.kept->Find(KeyOf(lists, values, &copy, &nulls));
}

bool IsBehind(const ListBoundaries& lists, const KeptGroup& list, const TupleTableSlot* row) {
  for (int i = 0; i < lists.order_count; ++i) {
    const int column = lists.route_count + i;
    const int order = ApplySortComparator(row->tts_values[column], row->tts_isnull[column],
                                          list.last[i], list.last_nulls[i], &lists.order[i]);
    if (order != 0) return order > 0;
  }
  return LIVE_QUERIES_MUTATION("last_row_is_beyond");
}

// Of the list that it would be, also if nobody watches that; NULL is in no list.
bool IsInList(const ListBoundaries& lists, const TupleTableSlot* row) {
  for (int i = 0; i < lists.route_count; ++i)
    if (row->tts_isnull[i]) return false;
  return true;
}

void KeepLast(const ListBoundaries& lists, KeptGroup* list, TupleTableSlot* row) {
  const auto count = static_cast<size_t>(lists.order_count);
  InMemoryContext(list->context, [&] {
    Datum* last = static_cast<Datum*>(palloc0(sizeof(Datum) * count));
    bool* nulls = static_cast<bool*>(palloc(sizeof(bool) * count));
    for (int i = 0; i < lists.order_count; ++i) {
      const Datum value = slot_getattr(row, lists.columns[i], &nulls[i]);
      if (nulls[i]) continue;
      const bool may_be_toasted = !lists.by_value[i] && lists.lengths[i] == -1;
      last[i] = may_be_toasted ? PointerGetDatum(PG_DETOAST_DATUM_COPY(value))
                               : datumCopy(value, lists.by_value[i], lists.lengths[i]);
    }
    list->last = last;
    list->last_nulls = nulls;
  });
  list->known = true;
}

}  // namespace

ListBoundaries* PrepareBoundaries(MemoryContext context, const ListBoundary& plan,
                                  const ResultEncoder& encoder) {
  return InMemoryContext(context, [&] {
    ListBoundaries* lists = AllocateIn<ListBoundaries>(context);
    lists->plan = &plan;
    lists->route_count = encoder.route_count;
    lists->kept = KeptGroups::Create(context, encoder.route_lengths, encoder.route_by_value,
                                     encoder.route_count, nullptr, 0);
    PrepareOrder(context, lists);
    return lists;
  });
}

void ForgetLists(ListBoundaries* lists) { lists->kept->DropAll(); }

void BeginLists(ListBoundaries* lists) {
  lists->kept->Begin();
  lists->scratch = AllocSetContextCreate(CurrentMemoryContext, "live_queries row behind a list",
                                         ALLOCSET_DEFAULT_SIZES);
  lists->first = nullptr;
  lists->end = &lists->first;
  lists->compared = 0;
  lists->noted = 0;
}

void EndLists(ListBoundaries* lists) {
  for (KeptGroup* list = lists->first; list != nullptr;) {
    KeptGroup* next = list->next_touched;
    list->touched = false;
    if (list->known)
      KeptGroups::Touch(list);
    else
      lists->kept->Drop(list);
    list = next;
  }
  lists->kept->End();
}

bool IsBeyond(ListBoundaries* lists, const Datum* watched, TupleTableSlot* row) {
  slot_getallattrs(row);
  if (!IsInList(*lists, row)) return false;
  const bool is_only = lists->route_count == 0;
  MemoryContextReset(lists->scratch);
  return InMemoryContext(lists->scratch, [&] {
    KeptGroup* list = FindList(*lists, watched == nullptr ? row->tts_values : watched);
    if (list == nullptr) return false;
    const bool compared = is_only ? ++lists->compared <= kMostCompared : watched != nullptr;
    const bool behind = compared && IsBehind(*lists, *list, row);
    if (behind)
      KeptGroups::Touch(list);
    else
      lists->kept->Drop(list);
    return behind;
  });
}

void NoteRow(ListBoundaries* lists, const Datum* watched, TupleTableSlot* row) {
  Datum* values;
  bool* nulls;
  const std::string_view key = KeyOf(*lists, watched, &values, &nulls);
  KeptGroup* list = lists->kept->Find(key);
  if (list != nullptr && !list->touched) {
    lists->kept->Drop(list);  // it is evaluated anyway
    list = nullptr;
  }
  if (list == nullptr) {
    if (lists->noted == kMostNoted) return;
    ++lists->noted;
    list = lists->kept->Add(key, values, nulls);
    list->touched = true;
    *lists->end = list;
    lists->end = &list->next_touched;
  }
  if (++list->rows == lists->plan->rows) KeepLast(*lists, list, row);
}

}  // namespace live_queries
