// A bucket for each hash of values, with the templates that have routes of it. Only hashes are
// compared: a template asks its own index what a row is really for, so no equality of a type is
// needed here. Process: decoder.
#include "template/routing_group.hpp"

#include "pg/hash_table.hpp"
#include "pg/memory.hpp"

namespace live_queries {

// A template in the bucket of a hash, after the first one.
struct OtherOwner {
  Template* owner;
  OtherOwner* next;
};

namespace {

// Most values have one template, so that one stands in the bucket itself.
struct Bucket {
  uint32 hash;       // hash key
  OtherOwner first;  // without an owner: the bucket is reserved
};

Bucket* BucketOf(const RoutingGroup* group, uint32 hash, HASHACTION action, bool* found) {
  return static_cast<Bucket*>(hash_search(group->owners, &hash, action, found));
}

bool HasHash(const RoutingGroup* group) { return group != nullptr && group->owners != nullptr; }

void RemoveFirst(RoutingGroup* group, Bucket* bucket) {
  OtherOwner* next = bucket->first.next;
  if (next == nullptr) {
    (void)BucketOf(group, bucket->hash, HASH_REMOVE, nullptr);
    return;
  }
  bucket->first = *next;
  pfree(next);
}

void RemoveOther(Bucket* bucket, const Template* common) {
  OtherOwner* former = &bucket->first;
  while (former->next->owner != common) former = former->next;
  OtherOwner* removed = former->next;
  former->next = removed->next;
  pfree(removed);
}

}  // namespace

void MakeOwners(RoutingGroup* group) {
  group->owners = MakeHashTable("live_queries routing group", &Bucket::hash, 64, group->context);
}

void ReserveInGroup(Template* common, uint32 hash) {
  RoutingGroup* group = common->group;
  if (!HasHash(group)) return;
  bool found;
  Bucket* bucket = BucketOf(group, hash, HASH_ENTER, &found);
  if (!found) bucket->first = {};
  if (bucket->first.owner == nullptr) return;
  OtherOwner* spare = AllocateIn<OtherOwner>(group->context);
  spare->next = group->spares;
  group->spares = spare;
}

void AddToGroup(Template* common, uint32 hash) {
  RoutingGroup* group = common->group;
  if (!HasHash(group)) return;
  Bucket* bucket = BucketOf(group, hash, HASH_FIND, nullptr);
  OtherOwner* former = nullptr;
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
  Bucket* bucket = BucketOf(group, hash, HASH_FIND, nullptr);
  if (bucket->first.owner == common)
    RemoveFirst(group, bucket);
  else
    RemoveOther(bucket, common);
}

void AddOnceToGroup(Template* common, uint32 hash) {
  const Bucket* bucket = BucketOf(common->group, hash, HASH_FIND, nullptr);
  if (bucket != nullptr && bucket->first.owner == common) return;
  ReserveInGroup(common, hash);
  AddToGroup(common, hash);
}

void ForEachOwner(const RoutingGroup* group, uint32 hash, void (*visit)(Template*, void*),
                  void* context) {
  const Bucket* bucket = BucketOf(group, hash, HASH_FIND, nullptr);
  if (bucket == nullptr || bucket->first.owner == nullptr) return;
  for (const OtherOwner* owner = &bucket->first; owner != nullptr; owner = owner->next)
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
