// A table of buckets by a hash of values, which is mostly asked for what it has not: most changed
// rows are for nobody. That is said by bits, which the processor's cache holds where it does not
// hold the table: to wait for memory costs as much as all else that is done for a row. Process:
// decoder.
#pragma once

#include "model/hash_bits.hpp"
#include "pg/hash_table.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// A Bucket begins with its `uint32 hash`; all else is zero at first.
template <class Bucket>
class BucketTable {
 public:
  // Whether Make has been called; all bytes of one that has not are zero.
  bool IsMade() const { return buckets_ != nullptr; }
  // May ereport out of memory, and is not made then.
  void Make(const char* name, MemoryContext context) {
    context_ = context;
    bits_ = MakeBits(0);
    buckets_ = MakeHashTable(name, &Bucket::hash, 64, context);
  }

  // nullptr: there is none.
  Bucket* Find(uint32 hash) const {
    return bits_.MayHave(hash) ? Search(hash, HASH_FIND, nullptr) : nullptr;
  }
  // One that is there.
  Bucket* At(uint32 hash) const { return Search(hash, HASH_FIND, nullptr); }
  // It is made if need be, which may ereport out of memory.
  Bucket* Enter(uint32 hash) {
    if (bits_.IsFull()) MakeRoom();
    bool found;
    Bucket* bucket = Search(hash, HASH_ENTER, &found);
    if (found) return bucket;
    *bucket = {};
    bucket->hash = hash;
    bits_.Add(hash);
    return bucket;
  }
  void Remove(uint32 hash) { (void)Search(hash, HASH_REMOVE, nullptr); }

 private:
  Bucket* Search(uint32 hash, HASHACTION action, bool* found) const {
    return static_cast<Bucket*>(hash_search(buckets_, &hash, action, found));
  }
  HashBits MakeBits(size_t hashes) const {
    const size_t bytes = HashBits::BytesFor(hashes);
    void* memory = MemoryContextAllocExtended(context_, bytes, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
    return {static_cast<uint8_t*>(memory), bytes};
  }
  // Those that have been removed go with it.
  void MakeRoom() {
    HashBits bits = MakeBits(static_cast<size_t>(hash_get_num_entries(buckets_)));
    HASH_SEQ_STATUS scan;
    hash_seq_init(&scan, buckets_);
    while (auto* bucket = static_cast<Bucket*>(hash_seq_search(&scan))) bits.Add(bucket->hash);
    pfree(bits_.bytes());
    bits_ = bits;
  }

  MemoryContext context_;
  HashBits bits_;
  HTAB* buckets_;
};

}  // namespace live_queries
