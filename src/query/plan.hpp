// How a query is watched: the strategy that was chosen for it, and what that needs to know. Whoever
// subscribes, explains or checks again reads this. Process: client backend, decoder.
#pragma once

#include "analyze/frozen_values.hpp"
#include "model/strategy.hpp"
#include "pg/postgres.hpp"
#include "query/spec.hpp"

extern "C" {
#include "nodes/parsenodes.h"
}

namespace live_queries {

struct Plan {
  Strategy strategy;
  const char* why;             // the strategy, for people
  const char* why_not_stream;  // for people; nullptr: it is the stream
  const char* untold;          // what the stream cannot tell, for people; nullptr: nothing
  QuerySpec spec;              // what subscriptions of one shape share: the template
  List* routing;               // Const, beside spec.routing_conditions: this subscription's route
  FrozenValues frozen;         // what is to be passed when the query is planned again
  Query* query;                // what the first result reads, by the same expressions
  List* sort_clause;           // SortGroupClause: the order that the query asks for
  List* temporary;         // oids of the schemas of temporary tables that only other sessions read
  bool reads_settings;     // for each row: any of the session's own
  List* table_names;       // String, qualified; for people
  const char* why_opaque;  // the key, for people; nullptr: it is shown
};

}  // namespace live_queries
