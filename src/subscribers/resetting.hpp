// The one place in a worker that resets or terminates subscribers, or sends their clients back to
// begin anew. Their clients are told at once, past the limits of the mailbox; but what a strategy
// resets in the midst of a batch is published with that, or not at all. Process: decoder.
#pragma once

#include "pg/postgres.hpp"
#include "subscribers/subscriber.hpp"
#include "template/guard.hpp"

namespace live_queries {

// Tells a subscriber's client to refresh, now; it gets nothing until then. One that gets nothing
// already is not told.
void ResetNow(Subscriber* subscriber, const char* reason);

// Ends a subscriber, whose query has raised an error: marks it in the registry, tells its client,
// removes it.
void Terminate(Subscriber* subscriber, int sqlstate, const char* reason);

// Resets or terminates those whose code has failed, after the transaction was aborted.
void EndThoseToBlame(const GuardFailure& failure);
// The same while the process ends, in the registry alone: the next one shall not meet them again.
void EndThoseToBlameAtExit(const GuardFailure& failure);

// ----- before a subscriber is attached -----

// Its query cannot be watched: tells whoever waits for that why, or the client of an older one.
void Refuse(int connection, uint64_t serial, int sqlstate, const char* reason, const char* hint);

// Ends the attachment of a subscriber whose definition may have changed: its client begins anew.
// `values_here`: for the next time, if that is why.
void AskToSubscribeAgain(Subscriber* subscriber, uint64_t values_here = 0);

// ----- with a batch -----

// Mutes a subscriber until UndoBatchResets. Never ereports.
void MuteWithBatch(Subscriber* subscriber);

// Resets all who listen at `route`; `stage` puts what one is told among the records of the batch.
template <class Stage>
void ResetWithBatch(const Route& route, Stage&& stage) {
  ForEachListener(route, [&](Subscriber* subscriber) {
    MuteWithBatch(subscriber);
    stage(*subscriber);
  });
}

// The batch is published, or done again. Never ereport.
void KeepBatchResets();
void UndoBatchResets();

}  // namespace live_queries
