// An aggregate that is not known to be indifferent gets an order by all its arguments. Process:
// client backend, evaluator.
#include "delta/open_aggregates.hpp"

#include "analyze/equal_values.hpp"
#include "analyze/total_order.hpp"
#include "analyze/tree.hpp"

extern "C" {
#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

// What the server's own aggregates of a name need for that.
enum class Indifferent : uint8_t { kAlways, kOfSame, kOfExact, kNever };

struct Name {
  std::string_view name;
  Indifferent when;
};

constexpr Name kNames[] = {
    {"count", Indifferent::kAlways},       {"regr_count", Indifferent::kAlways},
    {"bool_and", Indifferent::kAlways},    {"bool_or", Indifferent::kAlways},
    {"every", Indifferent::kAlways},       {"bit_and", Indifferent::kAlways},
    {"bit_or", Indifferent::kAlways},      {"bit_xor", Indifferent::kAlways},
    {"min", Indifferent::kOfSame},         {"max", Indifferent::kOfSame},
    {"range_agg", Indifferent::kOfSame},   {"range_intersect_agg", Indifferent::kOfSame},
    {"sum", Indifferent::kOfExact},        {"avg", Indifferent::kOfExact},
    {"variance", Indifferent::kOfExact},   {"var_pop", Indifferent::kOfExact},
    {"var_samp", Indifferent::kOfExact},   {"stddev", Indifferent::kOfExact},
    {"stddev_pop", Indifferent::kOfExact}, {"stddev_samp", Indifferent::kOfExact},
};

Indifferent WhenIndifferent(Oid function) {
  if (function >= FirstNormalObjectId) return Indifferent::kNever;
  const std::string_view name = get_func_name(function);
  for (const Name& known : kNames)
    if (known.name == name) return known.when;
  return Indifferent::kNever;
}

List* ArgumentsOf(const Aggref& aggregate) {
  List* arguments = NIL;
  ListCell* cell;
  foreach (cell, aggregate.args)
    if (!lfirst_node(TargetEntry, cell)->resjunk)
      arguments = lappend(arguments, lfirst_node(TargetEntry, cell)->expr);
  return arguments;
}

bool AreSame(List* arguments) {
  ListCell* cell;
  foreach (cell, arguments)
    if (!EqualMeansSame(static_cast<Expr*>(lfirst(cell)))) return false;
  return true;
}

// Without a -0, which is equal to 0.
Expr* WithoutNegativeZero(Expr* value) {
  const Oid type = exprType(AsNode(value));
  Const* zero =
      type == FLOAT8OID
          ? makeConst(FLOAT8OID, -1, InvalidOid, sizeof(float8), Float8GetDatum(0), false, true)
          : makeConst(FLOAT4OID, -1, InvalidOid, sizeof(float4), Float4GetDatum(0), false, true);
  return reinterpret_cast<Expr*>(makeFuncExpr(type == FLOAT8OID ? F_FLOAT8PL : F_FLOAT4PL, type,
                                              list_make2(value, zero), InvalidOid, InvalidOid,
                                              COERCE_EXPLICIT_CALL));
}

// One WITHIN GROUP: its result is among its values, or between two of them.
void DecideOrderedSet(Aggref* aggregate, Decisions* decisions) {
  if (aggregate->aggkind == AGGKIND_HYPOTHETICAL) return;
  ListCell* cell;
  foreach (cell, aggregate->args) {
    auto* argument = lfirst_node(TargetEntry, cell);
    const Oid type = exprType(AsNode(argument->expr));
    if (type == FLOAT8OID || type == FLOAT4OID) {
      argument->expr = WithoutNegativeZero(argument->expr);
      Decide(decisions, psprintf("%s(): -0 is taken for 0", get_func_name(aggregate->aggfnoid)));
    } else if (!EqualMeansSame(argument->expr)) {
      LeaveOpen(decisions,
                "it takes one of several values that are equal but not the same (WITHIN GROUP)",
                "Cast the values to a type such as numeric(10,2).");
    }
  }
}

}  // namespace

bool IsIndifferent(Oid function, List* arguments) {
  switch (WhenIndifferent(function)) {
    case Indifferent::kAlways:
      return true;
    case Indifferent::kOfSame:
      return AreSame(arguments);
    case Indifferent::kOfExact: {
      const Oid type = getBaseType(exprType(static_cast<Node*>(linitial(arguments))));
      return type != FLOAT4OID && type != FLOAT8OID;
    }
    case Indifferent::kNever:
      return false;
  }
  return false;
}

void DecideAggregate(Aggref* aggregate, Decisions* decisions) {
  if (AGGKIND_IS_ORDERED_SET(aggregate->aggkind)) return DecideOrderedSet(aggregate, decisions);
  List* arguments = ArgumentsOf(*aggregate);
  if (aggregate->aggdistinct != NIL) {
    // It sorts by its arguments.
    if (!AreSame(arguments) && WhenIndifferent(aggregate->aggfnoid) != Indifferent::kAlways)
      LeaveOpen(decisions,
                "an aggregate takes one of several values that are equal but not the same "
                "(DISTINCT)",
                kCastCure);
    return;
  }
  if (IsIndifferent(aggregate->aggfnoid, arguments)) return;
  if (aggregate->agglevelsup > 0) {
    return LeaveOpen(
        decisions,
        "a sub-select contains an aggregate of what is around it, of values in any order",
        "Compute the aggregate outside of the sub-select.");
  }
  const int ordered = list_length(aggregate->aggorder);
  ListCell* cell;
  foreach (cell, arguments)
    OrderAlsoBy(static_cast<Expr*>(lfirst(cell)), &aggregate->aggorder, &aggregate->args);
  if (list_length(aggregate->aggorder) == ordered) return;
  Decide(decisions,
         psprintf(ordered == 0
                      ? "%s(): values come in the order of an ordered input, else in their own"
                      : "%s(): values that are equal in its ORDER BY come in their own order",
                  get_func_name(aggregate->aggfnoid)));
}

}  // namespace live_queries
