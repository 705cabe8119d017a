// What the transactions of a batch have changed, read from the dirty log: for each watch the
// identities of rows, and the tables of which more than rows have changed. Plans find their dirty
// rows here. Process: evaluator.
#pragma once

#include "evaluate/stale_values.hpp"
#include "model/origin.hpp"
#include "pg/postgres.hpp"
#include "registry/dirty_record.hpp"

extern "C" {
#include "utils/hsearch.h"
}

namespace live_queries {

// The transactions that have changed something, in the order of their commits.
struct DirtySpan {
  const DirtyRecordShared* last;  // nullptr: none has
  List* records;                  // DirtyRecordShared*, the first kMostXids

  const DirtyRecordShared* first() const {
    return static_cast<const DirtyRecordShared*>(linitial(records));
  }
  // In the order of the commits, though one may come again. In CurrentMemoryContext.
  void Add(const DirtyRecordShared* record);
  // Of any others.
  void AddAll(const DirtySpan& other);
};

// A table, and what has become of all of its rows.
struct DirtyTable {
  Oid relation;  // hash key
  bool any_rows;
  bool truncated;
  bool rewritten;
  bool has_other_children;
  DirtySpan span;
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
  // Those that have changed anything that anybody watches.
  const DirtySpan& span() const { return span_; }
  // How many identities were logged for these watches.
  int RowCount(const List* watches) const;
  // The transactions that have changed rows of these watches, or these relations. In
  // CurrentMemoryContext.
  DirtySpan SpanOf(const List* watches, const List* relations) const;
  // nullptr: nothing but rows, or nothing at all, has changed.
  const DirtyTable* FindTable(Oid relation) const;

  // Visits the numbers of the watches that rows were logged for.
  template <class Visit>
  void ForEachWatch(Visit&& visit) const {
    HASH_SEQ_STATUS scan;
    hash_seq_init(&scan, watches_);
    while (void* watched = hash_seq_search(&scan)) visit(*static_cast<const uint32*>(watched));
  }
  // Visits the tables of which more than rows have changed.
  template <class Visit>
  void ForEachTable(Visit&& visit) const {
    HASH_SEQ_STATUS scan;
    hash_seq_init(&scan, tables_);
    while (void* table = hash_seq_search(&scan)) visit(*static_cast<const DirtyTable*>(table));
  }

  // The dirty rows of that table.
  DirtyRows Find(const StaleSet& set, const List* watches);

 private:
  struct Watched;
  const Watched* FindWatched(int number) const;
  void AddRow(const DirtyRecordShared* record, const DirtyEntry& entry);
  void AddTable(const DirtyRecordShared* record, const DirtyEntry& entry);
  ValueSet* ColumnsOf(Watched* watched, const StaleSet& set);

  MemoryContext context_;
  HTAB* watches_;
  HTAB* tables_;
  bool unknown_;
  bool catalogs_changed_;
  DirtySpan span_;
};

}  // namespace live_queries
