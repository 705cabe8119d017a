// Routing in the delta strategy: an equality of the whole query with a constant becomes a hidden
// column of the result, so that subscriptions of one shape share one evaluation, whose rows are
// told to those who have the value in that column. What limits rows, or makes one group, is
// evaluated for one value after the other (value_by_value.hpp). Process: client backend, evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

struct DeltaRouting {
  Query* query;      // without those equalities, and with their columns behind the shown ones
  List* conditions;  // OpExpr: column of the result = Param(n), n from 1
  List* values;      // Const, beside those
  bool made_anew;    // the result of one value is read faster by what the query was
};

// Takes the equalities out of `query`, analysed, where its result is then the rows of the new one
// that have the values; where there is none, `conditions` is NIL. Leaves `query` as it is.
DeltaRouting RouteDelta(const Query* query);

// The numbers of the result columns that `conditions` are about.
List* RoutingColumns(List* conditions);

// `conditions` with the values in the place of their parameters.
List* BindRouting(List* conditions, List* values);

}  // namespace live_queries
