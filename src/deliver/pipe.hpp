// The two ways out of the client's backend: notifications, and the queue of live.poll. Called by
// dispatch.cpp. Process: client backend.
#pragma once

#include "deliver/local_subscription.hpp"
#include "model/mailbox_record.hpp"
#include "model/seq_id.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// A message waits here until it is known whether more of its transaction follows.
struct Pipe {
  Delivery delivery;
  SeqClock clock;
  bool waiting;
  RecordHeader header;
  StringInfoData body;
};

extern Pipe notify_pipe;
extern Pipe poll_pipe;

// Before anything else here. May ereport (out of memory).
void PreparePipes();

Pipe* PipeOf(const LocalSubscription& subscription);

// Sends or queues a message. If it ereports, it has not: what was to be delivered is to come again.
void Deliver(Pipe* pipe, const RecordView& record, bool more);
// Keeps a copy waiting; nothing else waits.
void Keep(Pipe* pipe, const RecordView& record);
// Delivers what waits, if anything does.
void Flush(Pipe* pipe, bool more);
void FlushBoth();

// The latest position that a message of this connection carried, raised to `seq`.
SeqId StampPosition(SeqId seq);

}  // namespace live_queries
