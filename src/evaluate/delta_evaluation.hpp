// One plan of the delta strategy, evaluated for one batch of changes after the other: what may be
// stale, that part of the result at both snapshots, and the difference. README.md in this folder
// draws it. The caller is in a transaction, as the role and with the settings of those who
// subscribed, and neither knows the dirty log here nor the subscribers. Process: evaluator.
#pragma once

#include <optional>

#include "delta/delta_plan.hpp"
#include "evaluate/difference.hpp"
#include "evaluate/moving_evaluation.hpp"
#include "evaluate/result_row.hpp"
#include "evaluate/stale_values.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// Of one that asks the clock, as of the last batch that it was evaluated for.
struct KeptAlarm {
  ClockAlarm alarm;
  uint64 made;  // alarms_made then
};

// What is made once and used for each batch.
struct DeltaEvaluation {
  const DeltaPlan* plan;
  StaleSets sets;
  List* restricted;  // RestrictedPlan*
  List* of_watched;  // RestrictedPlan*: the same where few subscribe
  ResultEncoder encoder;
  MovingEvaluation* moving;  // nullptr: no groups are kept
  KeptAlarm* alarm;          // nullptr: the clock is followed in steps
};

// In `context`, with which it goes; `spec` and `plan`, whose parameters become more, stay the
// caller's. `routing`: see MakeResultEncoder.
DeltaEvaluation* PrepareDeltaEvaluation(MemoryContext context, const QuerySpec& spec,
                                        DeltaPlan* plan, List* routing);

// What a batch took.
struct DeltaCost {
  bool whole;     // the whole query was evaluated
  bool nothing;   // nothing was: none of the changed rows matters
  bool same_key;  // two rows had the same key at one snapshot: nothing was reported
  int64 probe_us;
  int64 query_us;
  int64 difference_us;
  uint64 rows;        // read at both snapshots
  uint64 moved;       // groups that were not evaluated
  uint64 spared;      // StaleValues::spared
  uint64 beyond;      // StaleValues::beyond
  uint64 irrelevant;  // StaleValues::irrelevant
  bool quiet;         // the time has moved and, by the alarm, makes no difference
};

// Finds the changes of the result between two snapshots and reports them; whatever they are told of
// lives as long as the call. `clock`: for a query that asks it, `quiet` is found here; where it
// moves, the whole result is evaluated, unless the plan has windows (delta/clock_windows.hpp).
// Takes memory of `max_bytes` at most for rows that did not cancel out (0: any); raises 54000 past
// it. Raises whatever the queries raise.
DeltaCost EvaluateDelta(const DeltaEvaluation& evaluation, const SnapshotPair& snapshots,
                        const ClockPair& clock, uint64 max_bytes, const BatchSource& source,
                        void (*report)(const ResultChange&, void*), void* context);

// Whether, for a query that asks the clock, the time makes a difference between these two, or may
// do that.
bool ClockMatters(const DeltaEvaluation& evaluation, const ClockPair& clock);
// Until when it makes none, from `time` on; nothing: it may at any moment.
std::optional<TimestampTz> QuietUntil(const DeltaEvaluation& evaluation, TimestampTz time);
// All alarms are of a state that was given up. Never ereports.
void ForgetAlarms();

// What is kept from batch to batch is of no use: changes are left out.
void ForgetKept(const DeltaEvaluation& evaluation);

// Reads the whole result under one snapshot.
void ReadResult(const DeltaEvaluation& evaluation, Snapshot snapshot, TimestampTz clock,
                const BatchSource& source, void (*receive)(const EncodedRow&, void*),
                void* context);

}  // namespace live_queries
