// What becomes of a batch that has failed, in any worker: it is forgotten, those are ended whose
// code has failed, and it is done again without them. Called by evaluation.cpp and
// evaluator_batch.cpp. Process: decoder, evaluator.
#pragma once

#include "pg/postgres.hpp"
#include "template/guard.hpp"

namespace live_queries {

// After the transaction or subtransaction of the error was aborted, and what the strategy had
// begun is forgotten: ends those who are to blame. If nobody is, the error is raised again.
void SettleFailure(const GuardFailure& failure, ErrorData* error);

// While this process ends: if that is because of an evaluation, ends the subscriptions that are to
// blame, so that the next one does not meet it again.
void BlameForEnd();

// Functions in C are believed what they declare: they can have taken advisory locks of the session.
// After each transaction in which functions of users may have run.
void ReleaseSessionLocks();

}  // namespace live_queries
