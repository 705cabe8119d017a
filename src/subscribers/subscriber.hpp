// A subscription as a worker knows it. Process: decoder.
#pragma once

#include <cstdint>

namespace live_queries {

struct Route;

struct Subscriber {
  Subscriber* next;  // of the same route
  Route* route;
  int connection;  // index
  uint64_t connection_id;
  uint64_t serial;
  bool muted;      // gets nothing: was reset, until its client refreshes, as a new subscriber
  bool attaching;  // and until then is muted too
  // Of its frozen values; not of what it has in common with the others of its template.
  bool reads_catalogs;
  bool values_unchecked;
  bool catalogs_changed;  // since they were looked at
  // What they are here, where the client's session is not, if that is something else: a digest.
  uint64_t values_here;
};

}  // namespace live_queries
