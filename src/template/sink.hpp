// Where a strategy puts what it finds out, for all who listen at a route. It is staged with a
// batch: published with it, or forgotten when an error makes the batch be done again. A strategy
// does not know who puts it where (deliver/outbox.hpp). Process: decoder.
#pragma once

#include "model/origin.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

struct Route;

// A part of the changes of one origin.
struct Body {
  std::string_view changes;  // what stands between `"changes":[` and `]` of a message
  uint32_t count;
};

struct Sink {
  void (*changes)(const Route& route, const Origin& origin, const Body& body);
  // They cannot be kept up to date: to refresh.
  void (*reset)(const Route& route, uint64_t seq, const char* reason);
};

}  // namespace live_queries
