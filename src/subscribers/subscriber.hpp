// A subscription as a worker knows it, and the list of those that have one route. Process: decoder.
#pragma once

#include "pg/postgres.hpp"
#include "template/template.hpp"

namespace live_queries {

struct MirroredConnection;

// What a worker knows of frozen values that depend on catalogs; not of what a subscriber has in
// common with the others of its template.
struct WatchedValues {
  uint64_t checked;        // Template::values_asked, when they were looked at; 0: never
  uint64_t catalogs_seen;  // Template::catalog_changes then
  // What they are here, where the client's session is not, if that is something else: a digest.
  uint64_t here;
};

struct Subscriber {
  Subscriber* next;  // of the same route
  Route* route;
  MirroredConnection* connection;
  uint64_t serial;
  bool muted;      // gets nothing: was reset, until its client refreshes, as a new subscriber
  bool attaching;  // and until then is muted too
  // It was looked at in vain while it attached, and is to be looked at again when it listens.
  bool undecided;
  bool outdated;                // it attaches, and is to be asked to subscribe again
  Subscriber* next_with_batch;  // resetting.hpp
  WatchedValues* values;        // nullptr: it has none, as most
};

// Puts `subscriber` on the list of its route, to listen from now on. Never ereports.
void JoinRoute(Subscriber* subscriber, Route* route);
// Takes it off again; the route, and its template, go with the last one. Never ereports.
void LeaveRoute(Subscriber* subscriber);

// Lets it have nothing any more, until its client begins anew with another subscriber.
void Mute(Subscriber* subscriber);
// Undoes that, where the reset that was the reason did not go out.
void Unmute(Subscriber* subscriber);

// Its frozen values are to be looked at whenever a catalog has changed, and now.
void WatchValues(Subscriber* subscriber);

// Visits each subscriber of `route` that listens; it may be muted, but not end, while it is
// visited.
template <class Visit>
void ForEachListener(const Route& route, Visit&& visit) {
  for (Subscriber* subscriber = route.subscribers; subscriber != nullptr;
       subscriber = subscriber->next)
    if (!subscriber->muted) visit(subscriber);
}

// All subscribers of a route, or of a template, as a list in CurrentMemoryContext.
List* SubscribersOf(const Route& route);
List* SubscribersOf(Template* one);

}  // namespace live_queries
