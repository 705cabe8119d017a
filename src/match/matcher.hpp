// Finds the templates that a transaction is about and evaluates it on them. Called by
// worker/evaluation.cpp for each ready transaction. Process: decoder.
#pragma once

#include "decode/change_batch.hpp"
#include "pg/postgres.hpp"
#include "template/sink.hpp"
#include "template/template.hpp"

namespace live_queries {

// What is read of a transaction at one time lives below `context`.
void PrepareMatcher(MemoryContext context);

// Evaluates one transaction. In a transaction of the decoder's with an active snapshot. May raise
// errors of user expressions, within their guard.
void EvaluateBatch(ChangeBatch* batch, const Sink& sink);

// Forgets what the transaction that raised an error has left in the routes.
void AbandonEvaluation();

// How many changes have matched, each for each template, since that was asked last; and how many
// times a template was shown a piece of changes.
uint64 TakeMatchedCount();
uint64 TakeEvaluationCount();

}  // namespace live_queries
