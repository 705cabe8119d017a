// A group of templates whose own indexes hash the same columns of a table alike, such as those of
// all roles under `owner = current_user`. Its hash has which of them have routes for which values:
// so a row is looked up once for all of them, and only those are looked at that it may be for.
// README.md in this folder draws it. Which templates are of a group: group_table.hpp. Its hash is
// filled by routing_index.cpp, and asked by match/concerned_templates.cpp. Process: decoder.
#pragma once

#include "pg/postgres.hpp"
#include "template/bucket_table.hpp"
#include "template/routing_condition.hpp"
#include "template/template.hpp"

namespace live_queries {

// A template in the bucket of a hash.
struct RouteOwner {
  Template* owner;
  RouteOwner* next;
};

// Most values have one template, so that one stands in the bucket itself.
struct OwnersOfHash {
  uint32 hash;
  RouteOwner first;  // without an owner: the bucket is reserved
};

struct RoutingGroup {
  MemoryContext context;
  // The columns that are hashed: the tables, `columns` and `column_names` of a template's spec,
  // and as `identity` what an old row must have to be looked up.
  QuerySpec columns;
  RoutingCondition* conditions;  // beside columns.columns; of each the hash alone is prepared
  int condition_count;
  List* templates;
  BucketTable<OwnersOfHash> owners;  // not made: each template is looked at
  RouteOwner* spares;                // for what is reserved
  StrategyPart* part;                // what the stream keeps with it; nullptr: to be made
};

// Makes the empty hash of a group.
void MakeOwners(RoutingGroup* group);

// A first route of a template that wants values of `hash`, and the last one; nothing if it is in no
// group with a hash. Reserving may ereport out of memory; the rest never ereports.
void ReserveInGroup(Template* common, uint32 hash);
void AddToGroup(Template* common, uint32 hash);
void RemoveFromGroup(Template* common, uint32 hash);
// Reserves and adds, unless the same template was the last one that was added with that hash.
void AddOnceToGroup(Template* common, uint32 hash);

// Visits the templates of a group with `owners` that want values of `hash`. Others may have that
// hash as well as those that the row is for.
void ForEachOwner(const RoutingGroup* group, uint32 hash, void (*visit)(Template*, void*),
                  void* context);

// Frees what the stream keeps with the group of a template.
void DropGroupPart(Template* common);

}  // namespace live_queries
