// What waits for live.poll: a queue for each role that the connection's subscriptions belong to,
// read as one by who may act for several. deliver/README.md says why. Process: client backend.
#pragma once

#include "deliver/local_subscription.hpp"
#include "model/mailbox_record.hpp"
#include "model/seq_id.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// Appends a record with the seq and the `more` that its message will have for who reads all.
void QueueForPoll(const LocalSubscription& subscription, const RecordView& record, SeqId seq,
                  bool more);
// What is queued, in bytes.
size_t PollQueueBytes();

// The next message for live.poll of the current role; false if none is left. Its text is in
// CurrentMemoryContext, its id valid until the next call.
struct PolledMessage {
  SeqId seq;
  std::string_view subscription_id;
  std::string_view message;
};
bool NextPolled(PolledMessage* message);
// Before the first NextPolled of a live.poll.
void StartReading();
// Before each: a queue that it may read, and that this live.poll has not named here yet, so that
// the caller can note how many of it were polled before. False if there is none.
struct UnreadQueue {
  Oid role;
  uint64_t polled;
};
bool NextUnnoted(UnreadQueue* unread);
// A subscription was ended or paused, or that was undone, or its snapshot is unread again: what is
// queued of it is not to be polled.
void SortQueueLater();
// How what is to be kept for later comes to its subscription, in order.
struct Holding {
  void (*hold)(LocalSubscription*, const RecordView&);
  void (*discard)(LocalSubscription*);  // all that is held; never ereports
};
// Do so; an error loses nothing, as the next call goes on. First comes what one kept from being
// handed over.
void HandOverSorted(const Holding& holding);
void SortPollQueue(const Holding& holding);
// Throws all away, but for terminations if they are kept: their subscriptions are not there to be
// reset any more.
void EmptyPollQueue(bool keep_terminations);
bool PollQueueIsEmpty();
// Whether the end of a subscription of that id waits for a role for which the current one may not
// act.
bool EndWaitsForOthers(const SubscriptionId& id);
// The client has unsubscribed from what is over already (nullptr: all of that): the terminations
// that are queued are not to be polled.
enum class Whose : uint8_t { kAnybodys, kActedFor };  // for whom the current role may act
void RefuseTerminations(const SubscriptionId* id, Whose whose);

// At commit and at rollback of a transaction that polled: forgets what was polled, or gives back
// all of a role since `before` were polled. Never ereport.
void ForgetPolled();
void GiveBackPolled(Oid role, uint64_t before);

}  // namespace live_queries
