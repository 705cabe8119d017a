// What waits for live.poll, in one queue for all subscriptions of the connection. Process: client
// backend.
#pragma once

#include "deliver/session.hpp"
#include "model/mailbox_record.hpp"
#include "model/seq_id.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// Appends a record with the seq and the `more` that its message will have.
void QueueForPoll(const SubscriptionId& id, const RecordView& record, SeqId seq, bool more);
// What is queued, in bytes.
size_t PollQueueBytes();

// The next message for live.poll; false if none is left. Its text is in CurrentMemoryContext, its
// id valid until the next call.
struct PolledMessage {
  SeqId seq;
  std::string_view subscription_id;
  std::string_view message;
};
bool NextPolled(PolledMessage* message);
// A subscription was ended or paused, or that was undone: what is queued of it is not to be polled.
void SortQueueLater();
// How what is to be kept for later comes to its subscription, in order.
struct Holding {
  void (*hold)(LocalSubscription*, const RecordView&);
  void (*discard)(LocalSubscription*);  // all that is held; never ereports
};
// Does so. An error loses nothing: the next call goes on.
void SortPollQueue(const Holding& holding);
// The client has unsubscribed from what is over already (nullptr: all of that): the terminations
// that are queued are not to be polled.
void RefuseTerminations(const SubscriptionId* id);
// The how manieth refusal of this connection was the last one.
uint64_t LastRefusal();
// At rollback: those after that one.
void TakeBackRefusals(uint64_t last);
// At commit.
void ConfirmRefusals();
// At commit and at rollback of a transaction that polled.
void ForgetPolled();
// All but the first `kept`.
void GiveBackPolled(uint64_t kept);
// How many the running transaction has polled.
uint64_t PolledCount();

}  // namespace live_queries
