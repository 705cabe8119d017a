// What the transactions of a batch have changed, read from the dirty log: for each watch the
// identities of rows, and the tables of which more than rows have changed. Plans find their dirty
// rows here. Process: evaluator.
#pragma once

#include "evaluate/stale_values.hpp"
#include "pg/postgres.hpp"
#include "registry/dirty_record.hpp"

extern "C" {
#include "utils/hsearch.h"
}

namespace live_queries {

// A table, and what has become of all of its rows.
struct DirtyTable {
  Oid relation;  // hash key
  bool any_rows;
  bool truncated;
  bool rewritten;
};

class DirtyBatch {
 public:
  // In CurrentMemoryContext, with which it goes.
  static DirtyBatch* Create();

  // What it points to must live as long as the batch.
  void Add(const DirtyTransaction& transaction);
  // Transactions are missing: any row of any table may have changed.
  void AddUnknown() { unknown_ = true; }

  bool unknown() const { return unknown_; }
  int transaction_count() const { return transaction_count_; }
  // nullptr: nothing but rows, or nothing at all, has changed.
  const DirtyTable* FindTable(Oid relation) const;

  // Whether anything is dirty in a table that is watched by these numbers, beside its relations.
  bool IsDirty(const StaleSet& set, const List* watches) const;
  // The dirty rows of that table.
  DirtyRows Find(const StaleSet& set, const List* watches);

 private:
  struct Watched;
  ValueSet* ColumnsOf(Watched* watched, const StaleSet& set);

  MemoryContext context_;
  HTAB* watches_;
  HTAB* tables_;
  bool unknown_;
  int transaction_count_;
};

}  // namespace live_queries
