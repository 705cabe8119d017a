// One batch, from S1 to S2, on all templates that it concerns. Called by
// worker/evaluator_batch.cpp, in a subtransaction that is rolled back. Process: evaluator.
#pragma once

#include "evaluate/dirty_batch.hpp"
#include "evaluate/position_snapshot.hpp"
#include "pg/postgres.hpp"
#include "template/sink.hpp"

namespace live_queries {

struct EvaluatorBatch {
  uint64 number;
  PositionSnapshot before;
  PositionSnapshot after;
  DirtyBatch* dirty;
};

// Locks the tables of the templates that the batch concerns, until the end of the subtransaction.
// For one that somebody else has locked it waits a moment; then the template is to be reset.
void LockConcerned(const EvaluatorBatch& batch);

// Evaluates it. With the tables locked and the definitions checked. May raise errors of the
// queries, within the guard of their template.
void EvaluateConcerned(const EvaluatorBatch& batch, const Sink& sink);

// Forgets what a batch that has raised an error has left in the routes.
void AbandonBatch();

// How many changes of results were found since the last call.
uint64 TakeChangeCount();

}  // namespace live_queries
