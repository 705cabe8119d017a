// Where the order of equal rows matters to a function, it gets a window of its own, ordered by what
// names the rows as well. Others keep theirs: to rank() and to frames of RANGE and GROUPS it
// matters which rows are equal. Process: client backend, evaluator.
#include "delta/open_windows.hpp"

#include "analyze/equal_values.hpp"
#include "analyze/total_order.hpp"
#include "analyze/tree.hpp"
#include "delta/open_aggregates.hpp"

extern "C" {
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

constexpr int kWholePartition = FRAMEOPTION_NONDEFAULT | FRAMEOPTION_ROWS | FRAMEOPTION_BETWEEN |
                                FRAMEOPTION_START_UNBOUNDED_PRECEDING |
                                FRAMEOPTION_END_UNBOUNDED_FOLLOWING;

// What a function needs to be determinate.
enum class Need : uint8_t {
  kNothing,
  kOrder,  // a total order; it has no frame
  kFrame,  // a total order, and the frame that it has, in rows
  kAll,    // a total order; its frame is the whole partition
  kTotal,  // what cannot be had, unless its window has a total order already
};

bool IsRank(Oid function) {
  return function == F_RANK_ || function == F_DENSE_RANK_ || function == F_PERCENT_RANK_ ||
         function == F_CUME_DIST_;
}

bool HasNoFrame(Oid function) {
  switch (function) {
    case F_ROW_NUMBER:
    case F_NTILE:
    case F_LAG_ANYELEMENT:
    case F_LAG_ANYELEMENT_INT4:
    case F_LAG_ANYCOMPATIBLE_INT4_ANYCOMPATIBLE:
    case F_LEAD_ANYELEMENT:
    case F_LEAD_ANYELEMENT_INT4:
    case F_LEAD_ANYCOMPATIBLE_INT4_ANYCOMPATIBLE:
      return true;
    default:
      return false;
  }
}

// A function of a frame.
Need NeedInFrame(const WindowFunc& function, const WindowClause& window) {
  const int frame = window.frameOptions;
  if ((frame & FRAMEOPTION_EXCLUSION) != 0) return Need::kTotal;
  if ((frame & FRAMEOPTION_ROWS) != 0) return Need::kFrame;
  if (function.winagg && IsIndifferent(function.winfnoid, function.args)) return Need::kNothing;
  // All rows of the partition are equal.
  if (window.orderClause == NIL) return Need::kAll;
  if (function.winfnoid == F_FIRST_VALUE && (frame & FRAMEOPTION_START_UNBOUNDED_PRECEDING) != 0)
    return Need::kAll;
  if (function.winfnoid == F_LAST_VALUE && (frame & FRAMEOPTION_END_UNBOUNDED_FOLLOWING) != 0)
    return Need::kAll;
  return Need::kTotal;
}

Need NeedOf(const WindowFunc& function, const WindowClause& window) {
  if (IsRank(function.winfnoid)) return Need::kNothing;
  if (HasNoFrame(function.winfnoid)) return Need::kOrder;
  const bool of_frame = function.winagg || function.winfnoid == F_FIRST_VALUE ||
                        function.winfnoid == F_LAST_VALUE || function.winfnoid == F_NTH_VALUE;
  return of_frame ? NeedInFrame(function, window) : Need::kTotal;
}

struct Windows {
  Query* query;
  List* row_key;
  Decisions* decisions;
};

bool IsTotal(const WindowClause& window, const Windows& windows) {
  if (windows.row_key == NIL) return false;
  List* given =
      list_concat(get_sortgrouplist_exprs(window.partitionClause, windows.query->targetList),
                  get_sortgrouplist_exprs(window.orderClause, windows.query->targetList));
  ListCell* cell;
  foreach (cell, windows.row_key)
    if (!list_member(given, lfirst(cell)) || !EqualMeansSame(static_cast<Expr*>(lfirst(cell))))
      return false;
  return true;
}

WindowClause* FindWindow(const Query& query, Index number) {
  ListCell* cell;
  foreach (cell, query.windowClause)
    if (lfirst_node(WindowClause, cell)->winref == number) return lfirst_node(WindowClause, cell);
  elog(ERROR, "a window function has no window");
  pg_unreachable();
}

void MoveToTotalOrder(WindowFunc* function, const WindowClause& window, Need need,
                      const Windows& windows) {
  Query* query = windows.query;
  Decide(windows.decisions, psprintf("%s(): rows that are equal in the order of its window come by "
                                     "what tells them apart",
                                     get_func_name(function->winfnoid)));
  WindowClause* total = CopyOf(&window);
  total->name = total->refname = nullptr;
  total->copiedOrder = false;
  if (need != Need::kFrame) {
    total->frameOptions = need == Need::kAll ? kWholePartition : FRAMEOPTION_DEFAULTS;
    total->startOffset = total->endOffset = nullptr;
    total->startInRangeFunc = total->endInRangeFunc = InvalidOid;
  }
  ListCell* cell;
  foreach (cell, windows.row_key)
    OrderAlsoBy(static_cast<Expr*>(lfirst(cell)), &total->orderClause, &query->targetList);
  // There may be one like it.
  foreach (cell, query->windowClause) {
    total->winref = lfirst_node(WindowClause, cell)->winref;
    if (equal(lfirst(cell), total)) {
      function->winref = total->winref;
      return;
    }
  }
  total->winref = function->winref = static_cast<Index>(list_length(query->windowClause) + 1);
  query->windowClause = lappend(query->windowClause, total);
}

bool DecideIn(Node* node, Windows* windows) {
  if (node == nullptr || IsA(node, Query)) return false;
  if (IsA(node, WindowFunc)) {
    auto* function = castNode(WindowFunc, node);
    const WindowClause& window = *FindWindow(*windows->query, function->winref);
    const Need need = NeedOf(*function, window);
    if (need != Need::kNothing && !IsTotal(window, *windows)) {
      if (need == Need::kTotal)
        LeaveOpen(
            windows->decisions,
            "the order of rows that are equal in the ORDER BY of a window matters to its function",
            "Add a key to the ORDER BY of the window.");
      else
        MoveToTotalOrder(function, window, need, *windows);
    }
  }
  return WalkChildren(node, DecideIn, windows);
}

}  // namespace

void DecideWindows(Query* query, List* row_key, Decisions* decisions) {
  if (!query->hasWindowFuncs) return;
  Windows windows = {query, row_key, decisions};
  // Orders may be added to the list meanwhile.
  List* targets = list_copy(query->targetList);
  (void)DecideIn(AsNode(targets), &windows);
}

}  // namespace live_queries
