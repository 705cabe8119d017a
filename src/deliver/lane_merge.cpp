// Merges the inboxes of all lanes, and keeps what not all consumers have passed yet. Process:
// client backend.
#include "deliver/lane_merge.hpp"

#include <algorithm>

#include "deliver/local_subscription.hpp"
#include "pg/fault.hpp"
#include "registry/position.hpp"

extern "C" {
#include "miscadmin.h"
}

namespace live_queries {
namespace {

constexpr uint64_t kNoBound = UINT64_MAX;

Inboxes inboxes;  // by consumer, as are
LaneReader lanes[kMaxConsumers];
IndexSet unread;  // the inboxes with something in them, if only that something was lost
// Those of them that something was left in when this round's bound became known: at their end
// there may be more up to there.
IndexSet begun_before;
uint64_t bound = 0;
// The greatest seq that was told, or is held: nothing is to come before it any more.
uint64_t passed = 0;
// The greatest position of a first result that was read, of those that lie still.
uint64_t shown = 0;
uint64_t shown_to_notified = 0;  // of those that are notified
// What was told up to here is one point: see CommonPoint.
uint64_t common_point = 0;
// The seq of the oldest record that is left beyond the bound; 0: none is.
uint64_t left_at = 0;
// A delivery has begun that has not come to its end.
bool in_use = false;

// How far the consumers are that this connection has live queries of.
struct Positions {
  uint64_t least = kNoBound;  // of those that run; if it is one alone, it is no bound for itself
  bool evaluated = false;     // an evaluator is among them, if they are several
  IndexSet gone;              // those that do not run, if they are several
};

// One that has ended counts until that is told: the last messages of its lane are bound as well.
bool HasSeveralConsumers(const ConnectionShared& connection) {
  return UsedLanes(connection).With(ConsumersOfLocal()).HasSeveral();
}

Positions LookAtConsumers(const ConnectionShared& connection) {
  Positions positions;
  if (!HasSeveralConsumers(connection)) return positions;
  // Who may be behind comes first, and so is not seen to be ahead: a refresher, its evaluator, the
  // decoder.
  ForEachConsumer(connection, [&](const ConsumerShared* consumer) {
    if (consumer->state.Load() != ConsumerState::kRunning) {
      positions.gone.Add(consumer->index);
      return;
    }
    if (consumer->kind != ConsumerKind::kDecoder) positions.evaluated = true;
    const uint64_t position = consumer->position.Load();
    if (position < positions.least) positions.least = position;
  });
  return positions;
}

// Up to where records may be told. What was told before is within it, and what a first result shows
// that was read: that was waited for, whatever has become of a consumer since.
uint64_t BoundBy(const Positions& positions) {
  if (positions.least == kNoBound) return kNoBound;
  uint64_t limit = std::max({positions.least, passed, shown});
  for (const LocalSubscription* one : Stirring())
    if (limit < one->bound.lsn && IsShown(*one)) limit = one->bound.lsn;
  return limit;
}

// What is behind the end of a lane is lost, or something in it.
void NoteLosses(int consumer, bool* lost) {
  const bool damaged = lanes[consumer].TakeDamage();
  if (!damaged && !inboxes[consumer].overflowed) return;
  if (damaged)
    ereport(LOG, errmsg("live_queries found damaged messages in the mailbox of this connection"));
  for (const LocalSubscription* one : AllLocal())
    if (one->consumer == consumer)
      NoteLost(Stir(one),
               damaged ? "messages were damaged" : "too many messages were waiting for the client");
  inboxes[consumer].overflowed = false;
  *lost = true;
}

void BeginLane(int consumer) { lanes[consumer].Begin(consumer, &inboxes[consumer]); }

// Of the lanes that are at their end.
void Take(ConnectionShared* connection) {
  LIVE_QUERIES_FAULT("client-take");
  IndexSet taken = TakeMail(connection, unread, &inboxes);
  unread = unread.With(taken);
  LIVE_QUERIES_FAULT("client-taken");
  while (!taken.empty()) BeginLane(taken.TakeFirst());
}

// Whether mail has come that no wake-up tells of any more: it came for a lane that was unread when
// another one's was taken, with which the wake-up went.
bool WakeUpWasTaken(const ConnectionShared& connection) {
  return WithLock(connection.lock, LW_SHARED, [&] {
    return !connection.mail_lanes.empty() && !connection.wake_pending.Load();
  });
}

// Whether a lane has a record that is next.
bool HasRecord(int consumer, bool* lost) {
  if (lanes[consumer].Next() != nullptr) return true;
  NoteLosses(consumer, lost);
  unread.Remove(consumer);
  return false;
}

}  // namespace

void BeginLanes() {
  for (IndexSet left = unread; !left.empty();) BeginLane(left.TakeFirst());
  left_at = 0;
  in_use = true;
}

// The positions first: what a consumer had put when it published one is in the mailbox then.
void BeginRound(ConnectionShared* connection, bool* lost) {
  const Positions positions = LookAtConsumers(*connection);
  bound = BoundBy(positions);
  if (positions.evaluated && bound != kNoBound) common_point = bound;
  for (IndexSet gone = positions.gone; !gone.empty();) {
    NoteEnded(gone.TakeFirst());
    *lost = true;
  }
  begun_before = unread;
  Take(connection);
}

LaneReader* OldestLane(ConnectionShared* connection, bool* lost) {
  LaneReader* oldest = nullptr;
  // At the end of what an earlier delivery has left there may be more in the mailbox, which comes
  // before what others have beyond.
  for (IndexSet left = begun_before; !left.empty();) {
    const int i = left.TakeFirst();
    if (HasRecord(i, lost)) continue;
    begun_before.Remove(i);
    Take(connection);
  }
  for (IndexSet left = unread; !left.empty();) {
    const int i = left.TakeFirst();
    if (HasRecord(i, lost) && (oldest == nullptr || lanes[i].seq() < oldest->seq()))
      oldest = &lanes[i];
  }
  return oldest == nullptr || oldest->seq() > bound ? nullptr : oldest;
}

uint64_t CommonPoint() { return common_point; }

void NotePassed(const LaneReader& lane) {
  if (passed < lane.seq()) passed = lane.seq();
}

void NoteShown(Delivery delivery, uint64_t position) {
  shown = std::max(shown, position);
  if (delivery == Delivery::kNotify) shown_to_notified = std::max(shown_to_notified, position);
}

uint64_t ShownByStill() { return shown_to_notified; }

bool LanesAreDone() {
  left_at = 0;
  for (IndexSet left = unread; !left.empty();) {
    LaneReader& lane = lanes[left.TakeFirst()];
    if (lane.Next() != nullptr && (left_at == 0 || lane.seq() < left_at)) left_at = lane.seq();
  }
  if (left_at == 0) return !WakeUpWasTaken(*MyConnectionIfAny());
  bool waits = false;
  ForEachConsumer(*MyConnectionIfAny(), [&](ConsumerShared* consumer) {
    if (AwaitPosition(consumer, left_at)) waits = true;
  });
  return waits;
}

void EndLanes() { in_use = false; }

bool LanesAreWaiting() {
  if (in_use) return true;
  if (left_at == 0) return false;
  return left_at <= BoundBy(LookAtConsumers(*MyConnectionIfAny()));
}

void DiscardLanes(ConnectionShared* connection) {
  unread = unread.With(TakeMail(connection, unread, &inboxes));
  for (IndexSet left = unread; !left.empty();) {
    const int i = left.TakeFirst();
    Inbox& inbox = inboxes[i];
    const dsa_pointer blocks = inbox.block;
    inbox.block = InvalidDsaPointer;
    FreeBlocks(connection, blocks);
    // Unless all of it had been read, and is released already: its consumer may spill again by now.
    if (inbox.spill_read != inbox.spill_end) {
      inbox.spill_read = inbox.spill_end;
      ReleaseSpill(connection, i, inbox);
    }
    inbox.overflowed = false;
    BeginLane(i);
    unread.Remove(i);
  }
}

void FreeInboxes(int, Datum) {
  for (const Inbox& inbox : inboxes) FreeBlocks(MyConnectionIfAny(), inbox.block);
}

}  // namespace live_queries
