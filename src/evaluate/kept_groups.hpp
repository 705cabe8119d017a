// What is kept of the groups of a plan from batch to batch: the states of their aggregates, of
// those that have changed. Of the lists of another plan, which are groups of rows here, where they
// end. All plans of the process together keep a bounded amount; what has not
// changed for the longest time goes. Process: evaluator.
#pragma once

#include "evaluate/moving_aggregate.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "lib/ilist.h"
#include "utils/hsearch.h"
}

namespace live_queries {

class KeptGroups;
struct MovingRow;

struct KeptGroup {
  dlist_node order;  // of all in the process, first what has changed last
  bool is_ordered;
  KeptGroups* owner;
  MemoryContext context;
  KeptGroup* next_same_hash;
  uint32 hash;
  std::string_view key;
  const Datum* values;  // of what it is grouped by, in `context`
  const bool* nulls;
  MovingState* states;
  int64 rows;
  uint64 bytes;
  bool known;         // the states are those of all its rows; it is known where the list ends
  const Datum* last;  // of a list that is known, in `context`: by what its last row is ordered
  const bool* last_nulls;
  // Of the batch in which it changes.
  KeptGroup* next_touched;
  bool touched;
  MovingRow* come;
  MovingRow* gone;
};

class KeptGroups {
 public:
  // In `context`, with which it goes, as the columns it groups by and the aggregates do; of lists
  // there are none.
  static KeptGroups* Create(MemoryContext context, const int16* lengths, const bool* by_value,
                            int columns, const MovingAggregate* aggregates, int aggregate_count);

  // What is kept from here to End is of no use if that is not reached: an error comes in between.
  void Begin();
  void End();

  // nullptr: nothing is kept of it.
  KeptGroup* Find(std::string_view key) const;
  // One that was not found, over no rows, not known yet.
  KeptGroup* Add(std::string_view key, const Datum* values, const bool* nulls);
  void Drop(KeptGroup* group);
  void DropAll();

  // What tells these values from those of other groups, in CurrentMemoryContext. They are put in
  // one form.
  std::string_view TakeKey(Datum* values, const bool* nulls) const;

  // That it has changed.
  static void Touch(KeptGroup* group);

 private:
  MemoryContext context_;  // of what is kept
  const int16* lengths_;
  const bool* by_value_;
  int columns_;
  const MovingAggregate* aggregates_;
  int aggregate_count_;
  HTAB* buckets_;  // nullptr: nothing is kept
  bool whole_;     // from Begin to End it is not
  uint64 epoch_;
};

// What all plans keep is of no use: they have moved on, and those who subscribe have not.
void ForgetKeptGroups();

}  // namespace live_queries
