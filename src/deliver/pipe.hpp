// The way out by notification: a message waits here until it is known whether more of its point
// follows. Called by dispatch.cpp. Process: client backend.
#pragma once

#include "deliver/local_subscription.hpp"
#include "model/mailbox_record.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// A message that waits: one of changes, and behind it what came of the same subscription.
struct Kept {
  RecordHeader header;
  StringInfoData body;
  bool held;  // it was read from its subscription's queue, and is forgotten there once it is sent
  // Of changes, not held: further subscriptions that get the same, if the session shares messages.
  uint64_t* others;  // serials
  int other_count;
  int other_capacity;
};

struct Pipe {
  // Changes, a reset, a termination.
  static constexpr int kMost = 3;

  Point point;
  Kept kept[kMost];
  int first;
  int count;

  bool waiting() const { return first < count; }
};

extern Pipe notify_pipe;

// Before anything else here. May ereport (out of memory).
void PreparePipe();

// The record that follows: lets go of what waits, as far as that is known now. Then it is read, and
// Send is called. An error leaves what was not sent.
void Announce(const RecordHeader& next);
// The same for one that was read, and may share the message that waits: true if it does, and is not
// to be sent.
bool Share(const RecordView& next);
// Takes those out of what waits, which is shared, for whom `take` says so: they are told of it in
// another way. `take` may ereport: those before are out. False if nobody is left.
bool TakeOut(Kept* kept, bool (*take)(const RecordView& record));
// Sends it, or keeps a copy waiting. `held`: see Kept.
void Send(const RecordView& record, bool held);
// What follows is told as of `seq`: sends what waits, if that is the last of an earlier point.
void EndPointBefore(uint64_t seq);
// Sends what waits, which is the last of its point.
void Flush();
// Forgets what waits.
void Forsake();

}  // namespace live_queries
