// A hash table from keys to the versions of their rows. Process: evaluator.
#include "evaluate/difference.hpp"

#include "model/longest_rise.hpp"
#include "pg/hash_table.hpp"
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
  int of_before;  // rows that were added, of either side
  int of_after;
  // Of a list.
  int before;  // how often it is there
  int after;
  int first_after;  // its first place that is still to be taken, from 1; 0: none
  int passed;
  bool moved;  // it stands elsewhere among the others that are there before and after
};

struct Difference::Place {
  Entry* entry;
  Row* row;
};

struct Difference::Places {
  Place* all;
  int count;
  int capacity;
};

// What one route has, in its order.
struct Difference::RouteList {
  RouteList* next_same_hash;
  RouteList* next;
  std::string_view routing;
  Places before;
  Places after;
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
  if (!bytes.empty()) memcpy(copy, bytes.data(), bytes.size());
  return {copy, bytes.size()};
}

std::string_view Column(const EncodedRow& row, int index) {
  return row.row.substr(row.values[index], row.ends[index] - row.values[index]);
}

}  // namespace

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

Difference* Difference::Create(bool bag, bool list, const int16* route_lengths,
                               const bool* route_by_value, int route_count) {
  Difference* difference = AllocateIn<Difference>(CurrentMemoryContext);
  difference->context_ = CurrentMemoryContext;
  difference->bag_ = bag;
  difference->list_ = list;
  difference->route_lengths_ = route_lengths;
  difference->route_by_value_ = route_by_value;
  difference->route_count_ = route_count;
  difference->entries_ =
      MakeHashTable("live_queries difference", &Bucket::hash, 64, CurrentMemoryContext);
  if (list)
    difference->lists_ =
        MakeHashTable("live_queries lists", &Bucket::hash, 64, CurrentMemoryContext);
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

// Behind those of its side that came before.
void Difference::AddPlace(Entry* entry, Row* row, int side) {
  const std::string_view routing = entry->rows->encoded.routing;
  const uint32 hash = HashOf(routing);
  bool found;
  auto* bucket = static_cast<Bucket*>(hash_search(lists_, &hash, HASH_ENTER, &found));
  if (!found) bucket->first = nullptr;
  auto* list = static_cast<RouteList*>(bucket->first);
  while (list != nullptr && list->routing != routing) list = list->next_same_hash;
  if (list == nullptr) {
    list = AllocateIn<RouteList>(context_);
    list->routing = routing;
    list->next_same_hash = static_cast<RouteList*>(bucket->first);
    bucket->first = list;
    list->next = first_list_;
    first_list_ = list;
  }
  Places* places = side < 0 ? &list->before : &list->after;
  if (places->count == places->capacity) {
    places->capacity = places->capacity == 0 ? 16 : places->capacity * 2;
    const size_t bytes = sizeof(Place) * static_cast<size_t>(places->capacity);
    places->all = static_cast<Place*>(places->all == nullptr ? MemoryContextAlloc(context_, bytes)
                                                             : repalloc(places->all, bytes));
    bytes_ += bytes / 2;
  }
  places->all[places->count++] = {entry, row};
}

void Difference::Add(const EncodedRow& encoded, int side) {
  Entry* entry = FindOrAdd(encoded);
  Row* row = FindOrAddRow(entry, encoded);
  row->count += side;
  const int count = ++(side < 0 ? entry->of_before : entry->of_after);
  same_key_ = same_key_ || (!bag_ && count > 1);
  if (list_) AddPlace(entry, row, side);
}

// Counts, and marks what does not stand as it did among all that stays.
void Difference::FindMoved(const RouteList& list) {
  const Places& before = list.before;
  const Places& after = list.after;
  int* next = static_cast<int*>(palloc(sizeof(int) * static_cast<size_t>(after.count + 1)));
  for (int i = after.count; i > 0; --i) {
    Entry* entry = after.all[i - 1].entry;
    ++entry->after;
    next[i] = entry->first_after;
    entry->first_after = i;
  }
  for (int i = 0; i < before.count; ++i) ++before.all[i].entry->before;
  // What stays, in its order before: where it stands afterwards.
  const size_t bytes = sizeof(int) * static_cast<size_t>(before.count + 1);
  int* stays = static_cast<int*>(palloc(bytes));
  int count = 0;
  for (int i = 0; i < before.count; ++i) {
    Entry* entry = before.all[i].entry;
    if (entry->passed++ < entry->before - entry->after) continue;
    const int place = entry->first_after;
    if (after.all[place - 1].row != before.all[i].row) continue;
    entry->first_after = next[place];
    stays[count++] = place;
  }
  bool* kept = static_cast<bool*>(palloc0(static_cast<size_t>(count) + 1));
  MarkLongestRise(stays, count, static_cast<int*>(palloc(bytes)), static_cast<int*>(palloc(bytes)),
                  kept);
  for (int i = 0; i < count; ++i)
    if (!kept[i]) after.all[stays[i] - 1].entry->moved = true;
}

// Rows that are there before and after, and look the same, are told only if they have moved:
// whoever takes out of a list what is deleted or updated, of equal rows the first, and then puts in
// the others at their positions, the least first, has the list as it is afterwards.
void Difference::ReportList(const RouteList& list, void (*report)(const ResultChange&, void*),
                            void* context) {
  FindMoved(list);
  auto tell = [&](ChangeOp op, const Row& row, std::string_view old, int64 position) {
    const EncodedRow& shown = row.encoded;
    report({op, shown.key, shown.row, old, shown.routes, shown.route_nulls, position}, context);
  };
  for (int i = 0; i < list.before.count; ++i) {
    const Place& place = list.before.all[i];
    // Of a bag nothing is updated: all equal rows come anew.
    const int left = bag_ && place.entry->moved ? 0 : place.entry->after;
    if (place.entry->passed-- > left) tell(ChangeOp::kDelete, *place.row, {}, -1);
  }
  for (int i = 0; i < list.after.count; ++i) {
    const Place& place = list.after.all[i];
    Entry* entry = place.entry;
    if (bag_ || entry->before == 0) {
      if (entry->moved || entry->before-- <= 0) tell(ChangeOp::kInsert, *place.row, {}, i);
      continue;
    }
    const Row* former = entry->rows;
    while (former->count >= 0 && former->next != nullptr) former = former->next;
    if (former->count < 0)
      tell(ChangeOp::kUpdate, *place.row, OldColumns(former->encoded, place.row->encoded), i);
    else if (entry->moved)
      tell(ChangeOp::kUpdate, *place.row, "{}", i);
  }
}

void Difference::Report(void (*report)(const ResultChange&, void*), void* context) {
  Assert(!same_key_);
  for (const RouteList* list = first_list_; list != nullptr; list = list->next)
    ReportList(*list, report, context);
  if (list_) return;
  for (const ChangeOp op : {ChangeOp::kDelete, ChangeOp::kUpdate, ChangeOp::kInsert}) {
    for (const Entry* entry = first_; entry != nullptr; entry = entry->next) {
      const Row* before = nullptr;
      const Row* after = nullptr;
      int copies = 0;
      for (const Row* row = entry->rows; row != nullptr; row = row->next) {
        if (row->count == 0) continue;
        const Row** side = row->count < 0 ? &before : &after;
        copies = abs(row->count);
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
          shown.route_nulls,
          -1};
      for (int i = 0; i < (bag_ ? copies : 1); ++i) report(change, context);
    }
  }
}

}  // namespace live_queries
