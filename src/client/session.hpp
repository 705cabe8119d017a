// What the SQL functions do to the subscriptions of this connection, each with a note for a
// rollback (client/undo_log.hpp): subscribe, unsubscribe, pause, resume and refresh take effect at
// commit and are undone by ROLLBACK and ROLLBACK TO, as is what poll and snapshot have read.
// deliver/README.md tells more. Process: client backend.
#pragma once

#include "deliver/local_subscription.hpp"
#include "deliver/poll_queue.hpp"
#include "model/identifiers.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// Adds a subscription that exists from the commit on. The caller registers it then, and until
// SetSerial a rollback only forgets it.
LocalSubscription* AddLocal(const SubscriptionId& id, Delivery delivery);
// Ends it at commit.
void LeaveAtCommit(LocalSubscription* subscription);
// The same for the one of that id, or for many. Those that are over, and whose end the current role
// might poll, go with them. Returns whether there was one that was not over, or how many.
enum class Whose : uint8_t { kAnybodys, kActedFor };  // for whom the current role may act
bool UnsubscribeAtCommit(const SubscriptionId& id);
int32_t UnsubscribeAllAtCommit(Whose whose);
// Pauses or resumes it, at once, undone by a rollback.
void SetPaused(LocalSubscription* subscription, bool paused);

// Whether the end of a subscription of that id waits for a role for which the current one may not
// act.
bool EndWaitsForOthers(const SubscriptionId& id);

// The next message for live.poll of the current role; false if none is left. A rollback gives it
// back. BeginPolling comes first (deliver/poll_queue.hpp).
bool NextMessage(PolledMessage* message);

// Delivers all that may be delivered (deliver/dispatch.hpp), and forgets what is over. Nobody can
// take notifications back: where the running transaction has changed anything about a subscription
// that is told by them, all of the connection's wait for its end, to show one point in time.
void Deliver();

// Raises 0A000 if the running transaction has changed live queries: what it did cannot wait for
// COMMIT PREPARED.
void RefusePrepare();

// Whether this connection will listen to its channel if the running transaction commits.
void SetListening(bool on);
bool IsListening();

// What follows is for the end of a transaction (client/transaction_end.cpp), and never ereports.

// Forgets a subscription, its first result, and what is queued of it; `kept`: see
// RemoveSubscription.
void Forget(LocalSubscription* subscription, bool kept);
// What SetPaused and SetListening have done, once more or the other way round.
void ApplyPause(LocalSubscription* subscription, bool paused);
void ApplyListening(bool on);

}  // namespace live_queries
