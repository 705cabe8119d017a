// Where the lists of a plan end (delta/list_boundary.hpp), of those that were evaluated and full:
// kept from batch to batch, so that what changes behind its last row does not let a list be
// evaluated. As of the older snapshot of a batch until its lists are evaluated. Process: evaluator.
#pragma once

#include "delta/list_boundary.hpp"
#include "evaluate/result_row.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

struct ListBoundaries;

// In `context`, with which they go; `plan` stays the caller's. Of rows as `encoder` takes them.
ListBoundaries* PrepareBoundaries(MemoryContext context, const ListBoundary& plan,
                                  const ResultEncoder& encoder);

// Nothing is kept.
void ForgetLists(ListBoundaries* lists);

// A batch, in its memory: what is kept is of no use if the end is not reached.
void BeginLists(ListBoundaries* lists);
void EndLists(ListBoundaries* lists);

// Of a row of the probe: whether its list is full, and ends before it. If not, if nobody watches
// the list, or if too many rows were asked for, it is not known any more where that ends.
// `watched`: the values of the list that somebody watches; nullptr: nobody does, or there is but
// one list.
bool IsBeyond(ListBoundaries* lists, const Datum* watched, TupleTableSlot* row);

// Of a row of the result at the newer snapshot: that it is the next one of its list. In the memory
// of one row.
void NoteRow(ListBoundaries* lists, const Datum* watched, TupleTableSlot* row);

}  // namespace live_queries
