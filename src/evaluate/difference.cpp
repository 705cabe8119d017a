// A hash table from keys to the versions of their rows. Process: evaluator.
#include "evaluate/difference.hpp"

#include "pg/memory.hpp"

extern "C" {
#include "common/hashfn.h"
#include "utils/datum.h"
}

namespace live_queries {

// One version of a row.
struct Difference::Row {
  Row* next;
  EncodedRow encoded;
  int count;  // how many more of it are there afterwards
};

// The versions of what has one key and the same routing values.
struct Difference::Entry {
  Entry* next_same_hash;
  Entry* next;
  Row* rows;
};

namespace {

struct Bucket {
  uint32 hash;  // hash key
  void* first;
};

uint32 HashOf(std::string_view bytes) {
  return hash_bytes(reinterpret_cast<const unsigned char*>(bytes.data()),
                    static_cast<int>(bytes.size()));
}

// Of any bytes: routing values hold zeros.
std::string_view Copy(std::string_view bytes) {
  char* copy = static_cast<char*>(palloc(bytes.size() + 1));
  memcpy(copy, bytes.data(), bytes.size());
  return {copy, bytes.size()};
}

std::string_view Column(const EncodedRow& row, int index) {
  return row.row.substr(row.values[index], row.ends[index] - row.values[index]);
}

// The columns of `before` that are not the same in `after`, as a JSON object.
std::string_view OldColumns(const EncodedRow& before, const EncodedRow& after) {
  StringInfoData out;
  initStringInfo(&out);
  StringInfoSink sink{&out};
  for (int i = 0; i < before.columns; ++i) {
    if (Column(before, i) == Column(after, i)) continue;
    // With its name, which follows the brace or the comma behind the column before.
    const uint32 start = i == 0 ? 1 : before.ends[i - 1] + 1;
    sink.Append(out.len == 0 ? std::string_view("{") : std::string_view(","));
    sink.Append(before.row.substr(start, before.ends[i] - start));
  }
  sink.Append(std::string_view("}"));
  return View(out);
}

}  // namespace

Difference* Difference::Create(bool bag, const int16* route_lengths, const bool* route_by_value,
                               int route_count) {
  Difference* difference = AllocateIn<Difference>(CurrentMemoryContext);
  difference->context_ = CurrentMemoryContext;
  difference->bag_ = bag;
  difference->route_lengths_ = route_lengths;
  difference->route_by_value_ = route_by_value;
  difference->route_count_ = route_count;
  HASHCTL control = {};
  control.keysize = sizeof(uint32);
  control.entrysize = sizeof(Bucket);
  control.hcxt = CurrentMemoryContext;
  difference->entries_ =
      hash_create("live_queries difference", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
  return difference;
}

Difference::Entry* Difference::FindOrAdd(const EncodedRow& row) {
  const uint32 hash = hash_combine(HashOf(row.key), HashOf(row.routing));
  bool found;
  auto* bucket = static_cast<Bucket*>(hash_search(entries_, &hash, HASH_ENTER, &found));
  if (!found) bucket->first = nullptr;
  for (auto* entry = static_cast<Entry*>(bucket->first); entry != nullptr;
       entry = entry->next_same_hash)
    if (entry->rows->encoded.key == row.key && entry->rows->encoded.routing == row.routing)
      return entry;
  Entry* entry = AllocateIn<Entry>(context_);
  entry->next_same_hash = static_cast<Entry*>(bucket->first);
  bucket->first = entry;
  (first_ == nullptr ? first_ : last_->next) = entry;
  last_ = entry;
  return entry;
}

Difference::Row* Difference::FindOrAddRow(Entry* entry, const EncodedRow& encoded) {
  for (Row* row = entry->rows; row != nullptr; row = row->next)
    if (row->encoded.row == encoded.row) return row;
  Row* row = AllocateIn<Row>(context_);
  row->encoded = encoded;
  EncodedRow& kept = row->encoded;
  InMemoryContext(context_, [&] {
    const size_t offsets = sizeof(uint32) * encoded.columns;
    kept.row = Copy(encoded.row);
    kept.values = static_cast<uint32*>(memcpy(palloc(offsets + 1), encoded.values, offsets));
    kept.ends = static_cast<uint32*>(memcpy(palloc(offsets + 1), encoded.ends, offsets));
    if (entry->rows != nullptr) {
      kept.key = entry->rows->encoded.key;
      kept.routing = entry->rows->encoded.routing;
      kept.routes = entry->rows->encoded.routes;
      kept.route_nulls = entry->rows->encoded.route_nulls;
      return;
    }
    kept.key = Copy(encoded.key);
    kept.routing = Copy(encoded.routing);
    Datum* routes = static_cast<Datum*>(palloc0(sizeof(Datum) * (route_count_ + 1)));
    bool* nulls = static_cast<bool*>(palloc0(sizeof(bool) * (route_count_ + 1)));
    for (int i = 0; i < route_count_; ++i) {
      nulls[i] = encoded.route_nulls[i];
      if (!nulls[i])
        routes[i] = datumCopy(encoded.routes[i], route_by_value_[i], route_lengths_[i]);
    }
    kept.routes = routes;
    kept.route_nulls = nulls;
  });
  bytes_ += sizeof(Entry) + sizeof(Row) + encoded.row.size() + encoded.key.size();
  row->next = entry->rows;
  return entry->rows = row;
}

void Difference::Add(const EncodedRow& row, int side) {
  Entry* entry = FindOrAdd(row);
  FindOrAddRow(entry, row)->count += side;
}

void Difference::Report(void (*report)(const ResultChange&, void*), void* context) {
  for (const ChangeOp op : {ChangeOp::kDelete, ChangeOp::kUpdate, ChangeOp::kInsert}) {
    for (const Entry* entry = first_; entry != nullptr; entry = entry->next) {
      const Row* before = nullptr;
      const Row* after = nullptr;
      int copies = 0;
      for (const Row* row = entry->rows; row != nullptr; row = row->next) {
        if (row->count == 0) continue;
        const Row** side = row->count < 0 ? &before : &after;
        copies = abs(row->count);
        if (!bag_ && (*side != nullptr || copies > 1))
          elog(ERROR, "two rows of the result of a live query have the same key");
        *side = row;
      }
      if (before == nullptr && after == nullptr) continue;
      const ChangeOp needed = before == nullptr  ? ChangeOp::kInsert
                              : after == nullptr ? ChangeOp::kDelete
                                                 : ChangeOp::kUpdate;
      if (needed != op) continue;
      const EncodedRow& shown = (after == nullptr ? before : after)->encoded;
      const ResultChange change = {
          op,
          shown.key,
          shown.row,
          op == ChangeOp::kUpdate ? OldColumns(before->encoded, shown) : std::string_view(),
          shown.routes,
          shown.route_nulls};
      for (int i = 0; i < (bag_ ? copies : 1); ++i) report(change, context);
    }
  }
}

}  // namespace live_queries
