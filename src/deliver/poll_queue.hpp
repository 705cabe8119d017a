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
// Do so; an error loses nothing, as the next call goes on. First comes what one kept from being
// handed over. `next_xid`: the transaction of what waits to be queued; 0: none.
void HandOverSorted(const Holding& holding);
void SortPollQueue(const Holding& holding, uint32_t next_xid);
// Throws all away, but for terminations if they are kept: their subscriptions are not there to be
// reset any more.
void EmptyPollQueue(bool keep_terminations);
bool PollQueueIsEmpty();
// The client has unsubscribed from what is over already (nullptr: all of that): the terminations
// that are queued are not to be polled.
void RefuseTerminations(const SubscriptionId* id);
// The how manieth refusal of this connection was the last one.
uint64_t LastRefusal();
// At rollback: those after that one.
void TakeBackRefusals(uint64_t last);
// At commit.
void ConfirmRefusals();

// How many were ever polled.
uint64_t PolledCount();
// At commit and at rollback of a transaction that polled: forgets those, or gives back all since
// there were `before`. Never ereport.
void ForgetPolled();
void GiveBackPolled(uint64_t before);

}  // namespace live_queries
