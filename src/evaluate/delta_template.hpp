// What the delta strategy adds to a template: its plan, which is made anew whenever a definition
// may have changed; and, as long as the template lives, the tables of the plan, watched in the
// dirty log. Process: evaluator.
#pragma once

#include "decode/table_storage.hpp"
#include "evaluate/delta_evaluation.hpp"
#include "evaluate/long_templates.hpp"
#include "evaluate/plan_watches.hpp"
#include "pg/postgres.hpp"
#include "template/template.hpp"

namespace live_queries {

struct DeltaTemplate : StrategyPart {
  DeltaPlan plan;
  DeltaEvaluation* evaluation;
};

// The tables with rows of a template's plan.
struct DeltaTables : StrategyPart {
  PlanWatches watches;
  int entered;             // of those, by which the template is found
  List* relations;         // oids
  TableStorage* storages;  // beside those: where the rows are that those who listen have
  XLogRecPtr made_at;      // the end of the log when that was looked at
  bool heeded;             // the decoder knows of the watches:
  XLogRecPtr known_from;   // the dirty log has all rows that what commits behind that has changed
  uint64 seen;             // the number of the batch that is being looked at; 0: it was
  uint64 locked_in;        // that of the batch in which somebody else had locked a table
  LongRecord long_record;
  bool failed;  // an evaluation has: perhaps since the whole result was thought cheaper
};

// The parts of a template, made if need be; an error leaves nothing of them behind. In a
// transaction, within a guard.
DeltaTemplate* DeltaPartOf(Template* common);
// nullptr: nobody has asked for its part yet.
DeltaTables* DeltaTablesOf(const Template* common);

// What its part keeps from batch to batch is of no use: it was left out of one, or of a step of the
// clock. Never ereports.
void ForgetKeptOf(const Template* common);

// For one that is to listen at the template. Its client has locked the tables.
void PrepareDelta(Template* common);
// Whether it can from a snapshot at `position` on.
bool IsReadyToListen(Template* common, XLogRecPtr position);

// Whether the dirty log has all rows that were changed by what has committed behind `position`.
bool RowsAreKnownFrom(DeltaTables* tables, XLogRecPtr position);

// Whether the rows are where they were, so that an older snapshot shows them. With the tables
// locked.
bool StoragesAreTheSame(const DeltaTables& tables);

// The table of a watch. InvalidOid: no template's.
Oid RelationOfWatch(uint32 number);

}  // namespace live_queries
