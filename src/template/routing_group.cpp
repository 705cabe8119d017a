// A bucket for each hash of values, with the templates that have routes of it. Only hashes are
// compared: a template asks its own index what a row is really for, so no equality of a type is
// needed here. Process: decoder.
#include "template/routing_group.hpp"

#include "pg/memory.hpp"

namespace live_queries {
namespace {

bool HasHash(const RoutingGroup* group) { return group != nullptr && group->owners.IsMade(); }

void RemoveFirst(RoutingGroup* group, OwnersOfHash* bucket) {
  RouteOwner* next = bucket->first.next;
  if (next == nullptr) {
    group->owners.Remove(bucket->hash);
    return;
  }
  bucket->first = *next;
  pfree(next);
}

void RemoveOther(OwnersOfHash* bucket, const Template* common) {
  RouteOwner* former = &bucket->first;
  while (former->next->owner != common) former = former->next;
  RouteOwner* removed = former->next;
  former->next = removed->next;
  pfree(removed);
}

}  // namespace

void MakeOwners(RoutingGroup* group) {
  group->owners.Make("live_queries routing group", group->context);
}

void ReserveInGroup(Template* common, uint32 hash) {
  RoutingGroup* group = common->group;
  if (!HasHash(group)) return;
  if (group->owners.Enter(hash)->first.owner == nullptr) return;
  RouteOwner* spare = AllocateIn<RouteOwner>(group->context);
  spare->next = group->spares;
  group->spares = spare;
}

void AddToGroup(Template* common, uint32 hash) {
  RoutingGroup* group = common->group;
  if (!HasHash(group)) return;
  OwnersOfHash* bucket = group->owners.At(hash);
  RouteOwner* former = nullptr;
  if (bucket->first.owner != nullptr) {
    former = group->spares;
    group->spares = former->next;
    *former = bucket->first;
  }
  bucket->first = {common, former};
}

void RemoveFromGroup(Template* common, uint32 hash) {
  RoutingGroup* group = common->group;
  if (!HasHash(group)) return;
  OwnersOfHash* bucket = group->owners.At(hash);
  if (bucket->first.owner == common)
    RemoveFirst(group, bucket);
  else
    RemoveOther(bucket, common);
}

void AddOnceToGroup(Template* common, uint32 hash) {
  const OwnersOfHash* bucket = common->group->owners.Find(hash);
  if (bucket != nullptr && bucket->first.owner == common) return;
  ReserveInGroup(common, hash);
  AddToGroup(common, hash);
}

void ForEachOwner(const RoutingGroup* group, uint32 hash, void (*visit)(Template*, void*),
                  void* context) {
  const OwnersOfHash* bucket = group->owners.Find(hash);
  if (bucket == nullptr || bucket->first.owner == nullptr) return;
  for (const RouteOwner* owner = &bucket->first; owner != nullptr; owner = owner->next)
    visit(owner->owner, context);
}

void DropGroupPart(Template* common) {
  RoutingGroup* group = common->group;
  if (group == nullptr || group->part == nullptr) return;
  MemoryContext context = group->part->context;
  group->part = nullptr;
  MemoryContextDelete(context);
}

}  // namespace live_queries
