// Each group has a memory context, which counts its bytes and takes it out of the order when it
// goes, in whatever way. Process: evaluator.
#include "evaluate/kept_groups.hpp"

#include "pg/fault.hpp"
#include "pg/hash_table.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "common/hashfn.h"
#include "utils/datum.h"
}

namespace live_queries {
namespace {

// Of all plans of a process.
constexpr uint64 kMostKeptBytes = uint64{32} * 1024 * 1024;

dlist_head all_groups = DLIST_STATIC_INIT(all_groups);
uint64 all_bytes = 0;
uint64 epoch = 1;

struct Bucket {
  uint32 hash;  // hash key
  KeptGroup* first;
};

static_assert(offsetof(KeptGroup, order) == 0);

uint32 HashOf(std::string_view key) {
  return hash_bytes(reinterpret_cast<const unsigned char*>(key.data()),
                    static_cast<int>(key.size()));
}

void Leave(void* pointer) {
  auto* group = static_cast<KeptGroup*>(pointer);
  if (group->is_ordered) dlist_delete(&group->order);
  all_bytes -= group->bytes;
}

void DropBeyond(uint64 bytes) {
  while (all_bytes > bytes && !dlist_is_empty(&all_groups)) {
    auto* last = reinterpret_cast<KeptGroup*>(dlist_tail_node(&all_groups));
    last->owner->Drop(last);
  }
}

// As a row has it that was stored: what a function returns may have other bytes around it.
Datum AsStored(Datum value, int16 length) {
  switch (length) {
    case sizeof(char):
      return CharGetDatum(DatumGetChar(value));
    case sizeof(int16):
      return Int16GetDatum(DatumGetInt16(value));
    case sizeof(int32):
      return Int32GetDatum(DatumGetInt32(value));
    default:
      return value;
  }
}

}  // namespace

KeptGroups* KeptGroups::Create(MemoryContext context, const int16* lengths, const bool* by_value,
                               int columns, const MovingAggregate* aggregates,
                               int aggregate_count) {
  KeptGroups* groups = AllocateIn<KeptGroups>(context);
  groups->context_ =
      AllocSetContextCreate(context, "live_queries kept groups", ALLOCSET_SMALL_SIZES);
  groups->lengths_ = lengths;
  groups->by_value_ = by_value;
  groups->columns_ = columns;
  groups->aggregates_ = aggregates;
  groups->aggregate_count_ = aggregate_count;
  return groups;
}

void KeptGroups::Begin() {
  if (!whole_ || epoch_ != epoch) DropAll();
  whole_ = false;
  if (buckets_ != nullptr) return;
  buckets_ = MakeHashTable("live_queries kept groups", &Bucket::hash, 64, context_);
}

void KeptGroups::End() {
  whole_ = true;
  epoch_ = epoch;
  DropBeyond(kMostKeptBytes);
}

void KeptGroups::DropAll() {
  MemoryContextReset(context_);
  buckets_ = nullptr;
}

KeptGroup* KeptGroups::Find(std::string_view key) const {
  const uint32 hash = HashOf(key);
  const auto* bucket = static_cast<const Bucket*>(hash_search(buckets_, &hash, HASH_FIND, nullptr));
  KeptGroup* group = bucket == nullptr ? nullptr : bucket->first;
  while (group != nullptr && group->key != key) group = group->next_same_hash;
  return group;
}

KeptGroup* KeptGroups::Add(std::string_view key, const Datum* values, const bool* nulls) {
  LIVE_QUERIES_FAULT("evaluator-keep");
  MemoryContext context =
      AllocSetContextCreate(context_, "live_queries kept group", ALLOCSET_SMALL_SIZES);
  KeptGroup* group = AllocateIn<KeptGroup>(context);
  group->owner = this;
  group->context = context;
  group->hash = HashOf(key);
  InMemoryContext(context, [&] {
    auto* callback = AllocateIn<MemoryContextCallback>(context);
    callback->func = Leave;
    callback->arg = group;
    MemoryContextRegisterResetCallback(context, callback);
    char* copy = static_cast<char*>(palloc(key.size() + 1));
    if (!key.empty()) memcpy(copy, key.data(), key.size());
    group->key = {copy, key.size()};
    Datum* kept = static_cast<Datum*>(palloc0(sizeof(Datum) * (columns_ + 1)));
    bool* kept_nulls = static_cast<bool*>(palloc0(sizeof(bool) * (columns_ + 1)));
    for (int i = 0; i < columns_; ++i) {
      kept_nulls[i] = nulls[i];
      if (!nulls[i]) kept[i] = datumCopy(values[i], by_value_[i], lengths_[i]);
    }
    group->values = kept;
    group->nulls = kept_nulls;
    group->states =
        static_cast<MovingState*>(palloc0(sizeof(MovingState) * (aggregate_count_ + 1)));
  });
  for (int i = 0; i < aggregate_count_; ++i) BeginState(aggregates_[i], context, &group->states[i]);
  bool found;
  auto* bucket = static_cast<Bucket*>(hash_search(buckets_, &group->hash, HASH_ENTER, &found));
  group->next_same_hash = found ? bucket->first : nullptr;
  bucket->first = group;
  Touch(group);
  return group;
}

void KeptGroups::Drop(KeptGroup* group) {
  auto* bucket = static_cast<Bucket*>(hash_search(buckets_, &group->hash, HASH_FIND, nullptr));
  KeptGroup** link = &bucket->first;
  while (*link != group) link = &(*link)->next_same_hash;
  *link = group->next_same_hash;
  if (bucket->first == nullptr) hash_search(buckets_, &group->hash, HASH_REMOVE, nullptr);
  MemoryContextDelete(group->context);
}

std::string_view KeptGroups::TakeKey(Datum* values, const bool* nulls) const {
  for (int i = 0; i < columns_; ++i) {
    if (nulls[i]) continue;
    if (by_value_[i])
      values[i] = AsStored(values[i], lengths_[i]);
    else if (lengths_[i] == -1)
      values[i] = PointerGetDatum(PG_DETOAST_DATUM(values[i]));
  }
  Size bytes = 0;
  for (int i = 0; i < columns_; ++i)
    bytes += datumEstimateSpace(values[i], nulls[i], by_value_[i], lengths_[i]);
  char* start = static_cast<char*>(palloc(bytes + 1));
  char* end = start;
  for (int i = 0; i < columns_; ++i)
    datumSerialize(values[i], nulls[i], by_value_[i], lengths_[i], &end);
  return {start, static_cast<size_t>(end - start)};
}

void KeptGroups::Touch(KeptGroup* group) {
  const uint64 bytes = MemoryContextMemAllocated(group->context, true);
  all_bytes += bytes - group->bytes;
  group->bytes = bytes;
  if (group->is_ordered) dlist_delete(&group->order);
  dlist_push_head(&all_groups, &group->order);
  group->is_ordered = true;
}

void ForgetKeptGroups() { ++epoch; }

}  // namespace live_queries
