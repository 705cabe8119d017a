// What waits for live.poll: the queues of the connection's subscriptions that are polled, read as
// one by whoever may act for them. deliver/README.md says why. Process: client backend.
#pragma once

#include "deliver/local_subscription.hpp"
#include "model/seq_id.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// A live.poll of the current role begins, or looks again. In CurrentMemoryContext, which has to
// last until the last call of NextPolled.
void BeginPolling();

// Whose message is next: nullptr if none is left for the current role.
LocalSubscription* NextToPoll();
// Whether this live.poll has not yet read anything of it; asked once. Then the caller notes how far
// the queue is read, for a rollback.
bool IsFirstPolled();
// Reads that message. Its text is in CurrentMemoryContext. An error has read nothing, or what a
// rollback gives back.
struct PolledMessage {
  SeqId seq;
  std::string_view subscription_id;
  std::string_view message;
};
void ReadPolled(PolledMessage* message);

// The point that what a role has polled shows, and how a rollback sets it back, which never
// ereports.
Point PolledPoint(Oid role);
void SetPolledPoint(Oid role, const Point& point);

// Whether the current role may poll what waits of a subscription.
bool MayPoll(const LocalSubscription& subscription);

}  // namespace live_queries
