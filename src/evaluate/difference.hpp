// The difference of two sets of rows, as the changes that lead from the one to the other. Rows that
// are in both cancel out as they come; the rest is told by key. Process: evaluator.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "utils/hsearch.h"
}

namespace live_queries {

// A row as its subscribers get it.
struct EncodedRow {
  std::string_view key;  // a JSON array; of a bag, the whole row
  std::string_view row;  // as row_to_json gives it
  const uint32* ends;    // where each column's name and value end in `row`
  const uint32* values;  // and where its value begins
  int columns;
  std::string_view routing;  // what else tells it from others of the same key: who gets it
  const Datum* routes;       // the values of the routing columns
  const bool* route_nulls;
};

enum class ChangeOp : uint8_t { kDelete, kUpdate, kInsert };

struct ResultChange {
  ChangeOp op;
  std::string_view key;
  std::string_view row;  // of a delete: as it was
  std::string_view old;  // of an update: the changed columns' former values, a JSON object
  const Datum* routes;
  const bool* route_nulls;
  int64 position;  // of an insert or update in a list: in the result afterwards, from 0; else -1
};

// The columns of `before` that are not the same in `after`, as a JSON object. In
// CurrentMemoryContext.
std::string_view OldColumns(const EncodedRow& before, const EncodedRow& after);

class Difference {
 public:
  // In CurrentMemoryContext, as all that is added. The routing columns have these types. Of a list,
  // all rows of either side have to be added in their order.
  static Difference* Create(bool bag, bool list, const int16* route_lengths,
                            const bool* route_by_value, int route_count);

  // Takes a row of the one side (-1: before, 1: after); copied where it is kept.
  void Add(const EncodedRow& encoded, int side);

  // Hands out what did not cancel out: deletes, then updates, then inserts, so that no key is twice
  // in the result at any time; of a list, deletes, then the others by position. Not with
  // HasSameKey().
  void Report(void (*report)(const ResultChange&, void*), void* context);

  // Whether two rows of one side have the same key, if the result has one.
  bool HasSameKey() const { return same_key_; }

  uint64 bytes() const { return bytes_; }

 private:
  struct Row;
  struct Entry;
  struct Place;
  struct Places;
  struct RouteList;
  void AddPlace(Entry* entry, Row* row, int side);
  void FindMoved(const RouteList& list);
  void ReportList(const RouteList& list, void (*report)(const ResultChange&, void*), void* context);
  Entry* FindOrAdd(const EncodedRow& row);
  Row* FindOrAddRow(Entry* entry, const EncodedRow& encoded);

  MemoryContext context_;
  bool bag_;
  bool list_;
  bool same_key_;
  int route_count_;
  const int16* route_lengths_;
  const bool* route_by_value_;
  HTAB* entries_;  // hash to chain
  HTAB* lists_;    // likewise; of one route each
  Entry* first_;   // in the order in which they came
  Entry* last_;
  RouteList* first_list_;
  uint64 bytes_;
};

}  // namespace live_queries
