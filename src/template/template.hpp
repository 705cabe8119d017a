// A template: what all subscriptions of one shape, role and settings share, whatever their
// strategy. README.md in this folder draws it. Process: decoder.
#pragma once

#include "pg/postgres.hpp"
#include "pg/session_identity.hpp"
#include "query/spec.hpp"
#include "template/dependencies.hpp"

namespace live_queries {

struct RouteEntry;
struct RoutingGroup;
struct RoutingIndex;
struct Subscriber;
struct Template;

// The subscriptions of a template that have the same routing values. Who they are is a list that
// subscribers/subscriber.hpp keeps; here it is only known how many listen.
struct Route {
  Template* owner;
  Datum* values;      // the constants, beside spec.routing_conditions
  RouteEntry* entry;  // what the routing index keeps of it
  Subscriber* subscribers;
  int listening;  // those of them that are not muted
  // Of the transaction being evaluated.
  StringInfoData body;
  uint32 change_count;
  bool touched;
  Route* next_touched;
  // How long its expressions have run, in the measurement of that number.
  int64 evaluated_us;
  uint32 measurement;
};

// What a strategy adds to a template, to evaluate it. It lives in a memory context of its own below
// that of the template, and is made anew whenever a definition may have changed.
struct StrategyPart {
  MemoryContext context;
};

struct Template {
  Template* next;
  MemoryContext context;
  char* key;  // role, session, settings and spec as text
  Oid role;
  SessionIdentity session;
  char* settings;
  char* spec_text;  // the end of `key`
  QuerySpec spec;
  int route_count;  // each has subscribers
  int listening;    // subscribers that are not muted; without any it is not evaluated
  RoutingIndex* routing;
  RoutingGroup* group;       // nullptr: it is in none
  StrategyPart* part;        // nullptr: to be made
  StrategyPart* lasting;     // what of it stays when it is made anew; nullptr: nothing
  bool unchecked;            // privileges and definitions must be looked at before use
  int catalog_readers;       // subscribers with values that any catalog may change
  uint64_t checked_at;       // DatabaseShared::checks when that was done last; 0: never
  bool function_changed;     // and that is a reason for it
  bool values_unchecked;     // those of one of them must be looked at before use
  uint64_t values_asked;     // how many times those of all were to be looked at, and once
  uint64_t catalog_changes;  // of those, since a catalog has changed
  Dependencies dependencies;
};

}  // namespace live_queries
