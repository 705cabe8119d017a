// From the mailbox to the client: takes records, asks each subscription's FlowControl, and sends
// notifications or queues messages for live.poll. Process: client backend.
#pragma once

#include "deliver/session.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// Delivers all that may be delivered. In a transaction; may block while the client does not read.
void DeliverMail();

// Whether DeliverMail would have something to do. Never ereports.
bool MailIsWaiting();

// The next message for live.poll; false if none is left. Its text is in CurrentMemoryContext, its id
// valid until the next call.
struct PolledMessage {
  SeqId seq;
  std::string_view subscription_id;
  std::string_view message;
};
bool NextPolled(PolledMessage* message);
// A subscription was ended or paused, or that was undone: what is queued of it is not to be polled.
void SortQueueLater();
// Its client has unsubscribed from what was over already: it need not be told.
void ForgetTermination(const SubscriptionId& id);
void ForgetAllTerminations();
// At commit and at rollback of a transaction that polled.
void ForgetPolled();
// All but the first `kept`.
void GiveBackPolled(uint64_t kept);
// How many the running transaction has polled.
uint64_t PolledCount();

// The latest position that a message of this connection carried, raised to `seq`.
SeqId StampPosition(SeqId seq);

// Takes a snapshot for `subscription` to start from: `snapshot` and the log's position after it.
void StartFrom(LocalSubscription* subscription, Snapshot snapshot, bool read_it);

// The client has read the snapshot to its end.
void FinishSnapshot(LocalSubscription* subscription);

}  // namespace live_queries
