// The changes that wait in routes while a batch is evaluated, as JSON, until they are handed to the
// sink: whichever the strategy. Process: decoder, evaluator.
#pragma once

#include "pg/memory.hpp"
#include "pg/postgres.hpp"
#include "template/sink.hpp"
#include "template/template.hpp"

namespace live_queries {

// The routes that have some.
struct TouchedRoutes {
  Route* first;
  bool long_bodies;  // one is long enough to be sent
  size_t bytes;      // that the bodies take, but for what the one that grows has got meanwhile
  Route* growing;    // of which AddChange was called last
  int grown_from;    // bytes of its body that are counted
};

// Where the next change of `route` is to be written.
StringInfoSink AddChange(Route* route, TouchedRoutes* touched);

// Hands over the bodies that are long enough; all of them where very many take too much together.
void HandOverLong(TouchedRoutes* touched, const Origin& origin, const Sink& sink);
// Hands over all.
void HandOverAll(TouchedRoutes* touched, const Origin& origin, const Sink& sink);
// Forgets all.
void ForgetChanges(TouchedRoutes* touched);

inline constexpr const char* kRowsMayDifferReason =
    "the table, a view, a function or row security of the query has changed";

// Tells all routes of `common` that they cannot be kept up to date.
void ResetRoutes(Template* common, uint64_t seq, const char* reason, const Sink& sink);

}  // namespace live_queries
