// The loop of delivery: from the inboxes and from what subscriptions hold, in the order of the
// log, to the client or into the subscriptions' queues; and what becomes of it after an error.
// Process: client backend.
#include "deliver/dispatch.hpp"

#include <algorithm>

#include "deliver/held_merge.hpp"
#include "deliver/lane_merge.hpp"
#include "deliver/local_subscription.hpp"
#include "deliver/mailbox.hpp"
#include "deliver/permission.hpp"
#include "deliver/pipe.hpp"
#include "deliver/throttle.hpp"
#include "pg/compat.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "pg/settings.hpp"
#include "registry/connection.hpp"
#include "registry/ending.hpp"
#include "registry/kept_problem.hpp"

extern "C" {
#include "storage/ipc.h"
}

namespace live_queries {
namespace {

bool prepared = false;
// Whether notifications wait for the end of the running transaction: see DeliverMail.
bool notifications_wait = false;
// An error has left DeliverMail; how many did so in succession.
bool delivering = false;
int failures = 0;
// After so many, what cannot be delivered is given up; after twice as many, the next attempt waits
// for the next transaction.
constexpr int kMostFailures = 3;

void Prepare() {
  if (prepared) return;
  PreparePipe();
  before_shmem_exit(FreeInboxes, 0);
  prepared = true;
}

// Whether a message of it can be sent now, and not behind what is held.
bool IsSentNow(const LocalSubscription& subscription) {
  return subscription.delivery == Delivery::kNotify && !notifications_wait &&
         subscription.held->unread() == 0;
}

void SendNow(const RecordView& record) {
  if (Share(record)) return;
  Announce(record.header);
  Send(record, false);
}

void Obey(LocalSubscription* subscription, Verdict verdict, const RecordView& record);

// A reset or termination throws away what was gathered. So it stands where that begins: what others
// are told from there on, this one does not show.
uint64_t EndsAt(const LocalSubscription& subscription, uint64_t seq) {
  return std::min(seq, GatheredFrom(subscription));
}

// Nothing more fits: what the client has not taken yet stays, then comes a reset.
void ResetForRoom(LocalSubscription* subscription, uint64_t seq, std::string_view reason) {
  const RecordHeader header = ResetHeader(subscription->serial, EndsAt(*subscription, seq), reason);
  const RecordView reset = {header, reason};
  FlowControl flow = subscription->flow;
  Obey(subscription, flow.OnHeldOverflow(), reset);
  ForgetGathered(subscription);
  subscription->flow = flow;
}

void Append(LocalSubscription* subscription, const RecordView& record) {
  LIVE_QUERIES_FAULT("client-hold");
  KeepWaiting(subscription, record);
}

bool HasRoomFor(const RecordView& record) {
  const HeldBudget budget = {static_cast<size_t>(spill_size_kb) * 1024, RecordQueue::TotalBytes()};
  return budget.Admits(record.body.size());
}

void Hold(LocalSubscription* subscription, const RecordView& record) {
  if (HasRoomFor(record))
    Append(subscription, record);
  else
    ResetForRoom(subscription, record.header.seq, kHeldOverflowReason);
}

// Changes of one that is throttled, whatever else they wait for.
void HoldForTime(LocalSubscription* subscription, const RecordView& record) {
  if (!HasRoomFor(record)) ShrinkGathered(subscription);
  if (HasRoomFor(record))
    Gather(subscription, record);
  else
    ResetForRoom(subscription, record.header.seq, kThrottledOverflowReason);
}

// It stands before all that the others are told: what was before it is lost. If there is an error
// in between, the reset of TellWhoLost comes.
void HoldAlone(LocalSubscription* subscription, const RecordView& record) {
  NoteLost(subscription, kHeldOverflowReason);
  subscription->held->DiscardUnread();
  subscription->waiting = {};
  RecordView first = record;
  first.header.seq = 0;
  Append(subscription, first);
  subscription->lost_because = {};
}

// It waits, with what is to be told before it.
void HoldLast(LocalSubscription* subscription, const RecordView& record) {
  const bool ends = record.header.kind == RecordKind::kTerminated;
  // Nobody may ever poll that: see MayPoll.
  const bool polled = subscription->delivery == Delivery::kPoll;
  const bool lost_role = ends && polled && HasLostRole(*subscription);
  if (subscription->flow.CanRelease() && !lost_role)
    Append(subscription, record);
  else
    HoldAlone(subscription, record);
  if (ends && polled) subscription->over = true;
}

void DeliverAlone(LocalSubscription* subscription, const RecordView& record) {
  const bool waits = subscription->flow.CanRelease() && subscription->held->unread() > 0;
  if (subscription->delivery == Delivery::kPoll || notifications_wait || waits) {
    HoldLast(subscription, record);
    return;
  }
  SendNow(record);
  subscription->held->DiscardUnread();
}

// An error leaves all as it was, for the record comes again: what may raise one stands first, and
// the caller changes the subscription's FlowControl after this.
void Obey(LocalSubscription* subscription, Verdict verdict, const RecordView& record) {
  switch (verdict) {
    case Verdict::kDeliver:
      if (IsSentNow(*subscription))
        SendNow(record);
      else
        Hold(subscription, record);
      break;
    case Verdict::kHold:
      Hold(subscription, record);
      break;
    case Verdict::kDrop:
      break;
    case Verdict::kDeliverAlone:
      DeliverAlone(subscription, record);
      break;
    case Verdict::kHoldAlone:
      HoldAlone(subscription, record);
      break;
  }
}

void Dispatch(const RecordView& record) {
  LocalSubscription* subscription = FindLocal(record.header.subscription_serial);
  if (subscription == nullptr) return;
  const bool changes = record.header.kind == RecordKind::kChanges;
  const bool visible = changes && !LIVE_QUERIES_MUTATION("deliver_visible") &&
                       subscription->bound.Sees(record.header);
  FlowControl flow = subscription->flow;
  const Verdict verdict = flow.Decide(record.header, visible);
  if (changes && subscription->throttle != nullptr) {
    if (verdict != Verdict::kDrop) HoldForTime(subscription, record);
    return;
  }
  // Changes decide nothing, but what becomes of them may.
  if (changes) {
    Obey(subscription, verdict, record);
    return;
  }
  RecordView last = record;
  last.header.seq = EndsAt(*subscription, record.header.seq);
  Obey(subscription, verdict, last);
  if (verdict != Verdict::kDrop) ForgetGathered(subscription);
  if (verdict == Verdict::kDeliverAlone && subscription->held->unread() > 0) flow.OnTellingHeld();
  subscription->flow = flow;
}

void Process(const RecordView& record) {
  Dispatch(record);
  LocalSubscription* subscription = FindLocal(record.header.subscription_serial);
  if (subscription == nullptr) return;
  ++subscription->taken_messages;
  subscription->taken_bytes += record.header.body_bytes;
}

// Messages wait since an error. Where their subscription was paused or ended meanwhile, or its
// first result is unread again, they are among those that are held, or that are told if the end is
// rolled back. False if it stays in the pipe.
bool HoldBack(const RecordView& record) {
  LocalSubscription* subscription = FindLocal(record.header.subscription_serial);
  if (subscription == nullptr) return true;
  FlowControl flow = subscription->flow;
  const bool changes = record.header.kind == RecordKind::kChanges;
  if (flow.leaving() && !changes) {
    subscription->flow.OnUntold();
    return true;
  }
  if (!flow.leaving() && !flow.IsWaiting() && !notifications_wait) return false;
  if (changes) {
    // What breaks or ends it may stand behind it: that is all that counts then.
    if (flow.Decide(record.header, false) != Verdict::kDrop) Hold(subscription, record);
    return true;
  }
  if (flow.IsWaiting())
    HoldAlone(subscription, record);
  else
    Append(subscription, record);
  ForgetGathered(subscription);
  flow.OnTellingHeld();
  subscription->flow = flow;
  return true;
}

// What waits in the pipe is of one subscription, unless it is changes alone, and shared.
void RecoverPipe() {
  Pipe& pipe = notify_pipe;
  bool comes_again = false;
  while (pipe.waiting()) {
    Kept& kept = pipe.kept[pipe.first];
    comes_again = comes_again || kept.held;
    if (!comes_again && TakeOut(&kept, HoldBack)) return;
    LocalSubscription* subscription = FindLocal(kept.header.subscription_serial);
    const RecordView record = {kept.header, View(kept.body)};
    if (comes_again && subscription != nullptr) {
      // In its queue it is still; and what came behind it, but not from there, follows it there.
      if (!kept.held) Append(subscription, record);
      if (record.header.kind == RecordKind::kTerminated) subscription->flow.OnTellingHeld();
    }
    ++pipe.first;
  }
  Forsake();
}

// What an error has left read.
void RewindHeld() {
  for (LocalSubscription* one : Stirring())
    if (one->delivery == Delivery::kNotify) one->held->Rewind();
}

// Its last message may be among those that are lost.
void ResetOrTerminate(LocalSubscription* one, std::string_view reason) {
  ConnectionShared* connection = MyConnectionIfAny();
  TerminationBody body;
  const bool over = WithLock(connection->lock, LW_SHARED, [&] {
    const SubscriptionShared* shared = FindSubscription(*connection, one->serial);
    if (shared == nullptr || shared->status != SubscriptionStatus::kTerminated) return false;
    body = WriteTermination(CopyProblem(shared->problem));
    return true;
  });
  RecordHeader header = ResetHeader(one->serial, 0, reason);
  if (over) {
    header.kind = RecordKind::kTerminated;
    header.body_bytes = static_cast<uint32_t>(body.length);
  }
  Dispatch({header, over ? body.view() : reason});
}

// Those of whom something is lost; also by an unsubscribe that was rolled back, which had kept
// them from being told.
void TellWhoLost() {
  for (LocalSubscription* one : Stirring()) {
    if (!one->flow.IsOwedAReset()) continue;
    ResetOrTerminate(one, !one->lost_because.empty()
                              ? one->lost_because
                              : "a reset came in a transaction that was rolled back");
    one->lost_because = {};
  }
}

void SendHeld(HeldMerge* held) {
  const HeldSource* source = held->First();
  RecordQueue* queue = source->subscription->held;
  Announce(source->next);
  RecordView record;
  (void)queue->Read(&record);
  held->Advance();
  if (LIVE_QUERIES_MUTATION("lose_held"))
    queue->ForgetOldest(record.header);
  else
    Send(record, true);
}

// What the lanes and the queues have, up to the bound of this round.
void MergeRound(ConnectionShared* connection, HeldMerge* held) {
  bool lost = false;
  BeginRound(connection, &lost);
  // What waits since an earlier round stays a part of its point.
  if (!notifications_wait && !notify_pipe.waiting()) notify_pipe.point.Reach(SeqId{CommonPoint()});
  for (;;) {
    LaneReader* lane = OldestLane(connection, &lost);
    if (lost) TellWhoLost();
    lost = false;
    const HeldSource* source = held->First();
    if (source != nullptr && (lane == nullptr || source->seq <= lane->seq())) {
      SendHeld(held);
      continue;
    }
    if (lane == nullptr) return;
    NotePassed(*lane);
    Process(*lane->Next());
    lane->Advance();
  }
}

// What was gathered of those whose time has come. It is the last of a delivery, and all that is
// held of such is one point, so that with it they show what all the others do. What waits may be of
// an earlier round: then its point ends before.
void SendReleased() {
  if (notifications_wait) return;
  const uint64_t seq = ReleaseToNotify();
  EndPointBefore(seq);
  notify_pipe.point.Reach(SeqId{seq});
  HeldMerge released;
  released.Begin([](const LocalSubscription& one) {
    return one.throttle != nullptr && one.delivery == Delivery::kNotify && one.flow.CanRelease();
  });
  while (released.First() != nullptr) SendHeld(&released);
}

// Messages leave in the order of their records, wherever these wait: what is held is older than
// what comes, but for what was committed since. An inbox moves on only after what came before has
// left, so that an error repeats nothing and loses nothing.
void Merge(ConnectionShared* connection) {
  HeldMerge held;
  if (!notifications_wait) {
    notify_pipe.point.Reach(SeqId{ShownByStill()});
    for (const LocalSubscription* one : Stirring())
      if (one->delivery == Delivery::kNotify && IsShown(*one))
        notify_pipe.point.Reach(SeqId{one->bound.lsn});
    held.Begin([](const LocalSubscription& one) {
      return one.throttle == nullptr && one.delivery == Delivery::kNotify && one.flow.CanRelease();
    });
  }
  BeginLanes();
  do MergeRound(connection, &held);
  while (!LanesAreDone());
  SendReleased();
}

void CountResets(const LocalSubscription& one) {
  DatabaseShared* database = one.delivered.resets > 0 ? FindDatabase(MyDatabaseId) : nullptr;
  if (database != nullptr) database->consumers[one.consumer].resets.Add(one.delivered.resets);
}

// Brings the counters of shared memory up to date.
void ShareCounters() {
  ConnectionShared* connection = MyConnectionIfAny();
  const TimestampTz now = GetCurrentTimestamp();
  for (LocalSubscription* one : Stirring()) {
    if (one->flow.CanRelease()) {
      one->delivered.Add(one->waiting);
      one->waiting = {};
    }
    const DeliveredCounts& delivered = one->delivered;
    if (one->taken_messages > 0 || delivered.messages > 0) {
      WithLock(connection->lock, LW_EXCLUSIVE, [&] {
        SubscriptionShared* shared = FindSubscription(*connection, one->serial);
        if (shared == nullptr) return;
        shared->messages_taken += one->taken_messages;
        shared->bytes_taken += one->taken_bytes;
        shared->messages += delivered.messages;
        shared->changes += delivered.changes;
        shared->resets += delivered.resets;
        if (delivered.messages == 0) return;
        shared->seq = delivered.seq;
        shared->last_delivered_at = now;
      });
      CountResets(*one);
      one->taken_messages = one->taken_bytes = 0;
      one->delivered = {};
    }
  }
}

// What cannot be delivered after several attempts (a full disk, temp_file_limit) is lost, so that
// the connection can go on.
void GiveUpOnErrors(ConnectionShared* connection) {
  ereport(LOG, errmsg("live_queries resets the live queries of this connection"),
          errdetail("Its messages could not be delivered, %d times in succession.", failures));
  DiscardLanes(connection);
  Forsake();
  for (const LocalSubscription* other : AllLocal()) {
    LocalSubscription* one = Stir(other);
    // Its client has been told, or is being told.
    if (one->over && one->held->unread() == 0) continue;
    one->held->DiscardUnread();
    ForgetGathered(one);
    one->over = false;
    one->flow.OnUntold();
    NoteLost(one, "messages could not be delivered");
  }
  failures = 0;
}

void DeliverAll(ConnectionShared* connection) {
  RewindHeld();
  RecoverPipe();
  if (!MailIsWaiting()) {
    // A resume has made something deliverable, perhaps.
    ShareCounters();
    ArrangeRelease();
    return;
  }
  Prepare();
  TellWhoLost();
  Merge(connection);
  TellWhoLost();
  if (!notifications_wait) Flush();
  LIVE_QUERIES_FAULT("client-count");
  ShareCounters();
  EndLanes();
  ArrangeRelease();
}

void NoteFailure() {
  if (delivering) ++failures;
  delivering = false;
}

}  // namespace

void DeliverMail(bool wait) {
  // Otherwise one that fails over and over could not be ended.
  CHECK_FOR_INTERRUPTS();
  ConnectionShared* connection = MyConnectionIfAny();
  if (connection == nullptr) return;
  notifications_wait = wait;
  NoteFailure();
  delivering = true;
  if (failures >= kMostFailures) GiveUpOnErrors(connection);
  DeliverAll(connection);
  delivering = false;
  failures = 0;
}

bool MayDeliverAgain() {
  NoteFailure();
  return failures < 2 * kMostFailures;
}

bool MailIsWaiting() {
  ConnectionShared* connection = MyConnectionIfAny();
  if (connection == nullptr) return false;
  if (connection->wake_pending.Load() || LanesAreWaiting() || failures > 0 || notify_pipe.waiting())
    return true;
  if (GatheredIsDue()) return true;
  for (const LocalSubscription* one : Stirring()) {
    const bool may_release = one->delivery == Delivery::kNotify && one->flow.CanRelease();
    if (one->flow.IsOwedAReset() || (may_release && !one->held->empty())) return true;
  }
  return false;
}

}  // namespace live_queries
