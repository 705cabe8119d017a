// The loop of delivery: from the inbox, record by record, and from what subscriptions hold, to the
// two pipes; and what becomes of it after an error. Process: client backend.
#include "deliver/dispatch.hpp"

#include <span>

#include "deliver/held_merge.hpp"
#include "deliver/local_subscription.hpp"
#include "deliver/mailbox.hpp"
#include "deliver/pipe.hpp"
#include "deliver/poll_queue.hpp"
#include "pg/compat.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "pg/settings.hpp"
#include "registry/connection.hpp"
#include "registry/ending.hpp"

extern "C" {
#include "storage/ipc.h"
}

namespace live_queries {
namespace {

bool prepared = false;
bool notifications_wait = false;  // in this call of DeliverMail
Inboxes inboxes;
int lane = 0;  // whose inbox is being read
bool inbox_in_use = false;
// Why messages in front of the inbox's end are lost, where it is marked as overflowed.
constexpr std::string_view kTooManyReason = "too many messages were waiting for the client";
std::string_view lost_because = kTooManyReason;
// An error has left DeliverMail; how many did so in succession.
bool delivering = false;
int failures = 0;
// After so many, what cannot be delivered is given up; after twice as many, the next attempt waits
// for the next transaction.
constexpr int kMostFailures = 3;

Inbox& inbox() { return inboxes[static_cast<size_t>(lane)]; }

void FreeInboxes(int, Datum) {
  for (const Inbox& one : inboxes) FreeBlocks(MyConnectionIfAny(), one.block);
}

void Prepare() {
  if (prepared) return;
  PreparePipes();
  before_shmem_exit(FreeInboxes, 0);
  prepared = true;
}

void Obey(LocalSubscription* subscription, Verdict verdict, const RecordView& record);

// Nothing more fits: what the client has not taken yet stays, then comes a reset.
void ResetForRoom(LocalSubscription* subscription, uint64_t seq) {
  const RecordView reset = {ResetHeader(subscription->serial, seq, kHeldOverflowReason),
                            kHeldOverflowReason};
  FlowControl flow = subscription->flow;
  Obey(subscription, flow.OnHeldOverflow(), reset);
  subscription->flow = flow;
}

// Whether no more fits into the queue of live.poll.
bool IsFull(const LocalSubscription& subscription, const RecordHeader& header) {
  return subscription.delivery == Delivery::kPoll && header.kind == RecordKind::kChanges &&
         PollQueueBytes() + PipeOf(subscription)->body.len >
             static_cast<size_t>(spill_size_kb) * 1024;
}

void Emit(LocalSubscription* subscription, const RecordView& record) {
  if (IsFull(*subscription, record.header)) {
    ResetForRoom(subscription, record.header.seq);
    return;
  }
  Pipe* pipe = PipeOf(*subscription);
  // A reset has no `more`. Before the message that waits, whose `more` may be false: then all
  // subscriptions show one point in time, or their clients know that they do not.
  if (record.header.kind == RecordKind::kReset && pipe->waiting &&
      pipe->header.seq == record.header.seq &&
      pipe->header.subscription_serial != record.header.subscription_serial) {
    Deliver(pipe, record, false);
    return;
  }
  Flush(pipe, AreOfOneTransaction(pipe->header, record.header));
  Keep(pipe, record);
}

void HoldAlone(LocalSubscription* subscription, const RecordView& record) {
  RecordQueue* alone = RecordQueue::Create(subscription->context);
  alone->Append(record.header, record.body);
  DiscardHeld(subscription);
  subscription->held->Destroy();
  subscription->held = alone;
  held_budget.bytes += record.body.size();
}

void Hold(LocalSubscription* subscription, const RecordView& record) {
  if (subscription->flow.broken()) {
    // From the poll queue, with the reset that ends it: that is all that counts.
    if (record.header.kind == RecordKind::kReset) HoldAlone(subscription, record);
    return;
  }
  held_budget.limit = static_cast<size_t>(spill_size_kb) * 1024;
  HeldBudget budget = held_budget;
  if (budget.Admit(record.body.size())) {
    subscription->held->Append(record.header, record.body);
    held_budget = budget;
    return;
  }
  ResetForRoom(subscription, record.header.seq);
}

constexpr Holding kHolding = {Hold, DiscardHeld};

// An error leaves all as it was, for the record comes again: what may raise one stands first, and
// the caller changes the subscription's FlowControl after this.
void Obey(LocalSubscription* subscription, Verdict verdict, const RecordView& record) {
  switch (verdict) {
    case Verdict::kDeliver:
      Emit(subscription, record);
      break;
    case Verdict::kHold:
      Hold(subscription, record);
      break;
    case Verdict::kDrop:
      break;
    case Verdict::kDeliverAlone:
      Emit(subscription, record);
      DiscardHeld(subscription);
      break;
    case Verdict::kHoldAlone:
      HoldAlone(subscription, record);
      break;
  }
}

bool Waits(const LocalSubscription& subscription) {
  return notifications_wait && subscription.delivery == Delivery::kNotify;
}

void Dispatch(const RecordView& record) {
  LocalSubscription* subscription = FindLocal(record.header.subscription_serial);
  if (subscription == nullptr) return;
  const bool changes = record.header.kind == RecordKind::kChanges;
  const bool visible = changes && !LIVE_QUERIES_MUTATION("deliver_visible") &&
                       subscription->bound.Sees(record.header.xid, record.header.seq);
  FlowControl flow = subscription->flow;
  Verdict verdict = flow.Decide(record.header, visible);
  // What is held is older.
  if (verdict == Verdict::kDeliver && (Waits(*subscription) || !subscription->held->empty()))
    verdict = Verdict::kHold;
  Obey(subscription, verdict, record);
  // Changes decide nothing, but what became of them may have.
  if (!changes) subscription->flow = flow;
}

void Process(const RecordView& record) {
  Dispatch(record);
  LocalSubscription* subscription = FindLocal(record.header.subscription_serial);
  if (subscription == nullptr) return;
  ++subscription->taken_messages;
  subscription->taken_bytes += record.header.body_bytes;
}

// A message waits since an error. If its subscription was paused or ended meanwhile, or its
// snapshot is unread again, it is one of those that are held, or that are told if the end is
// rolled back.
void HoldBack(Pipe* pipe) {
  if (!pipe->waiting) return;
  LocalSubscription* subscription = FindLocal(pipe->header.subscription_serial);
  const RecordView record = {pipe->header, View(pipe->body)};
  const RecordKind kind = record.header.kind;
  if (subscription == nullptr) {
    pipe->waiting = false;
    return;
  }
  if (kind == RecordKind::kChanges) {
    FlowControl flow = subscription->flow;
    if (!Waits(*subscription) && subscription->held->empty() &&
        flow.Decide(record.header, false) == Verdict::kDeliver)
      return;
    Hold(subscription, record);
  } else if (subscription->flow.leaving()) {
    subscription->flow.OnUntold();
  } else if (kind == RecordKind::kReset && subscription->flow.IsWaiting()) {
    Hold(subscription, record);
  } else {
    return;
  }
  pipe->waiting = false;
}

// By itself, past the pipe: what follows it is known here.
void Release(const HeldMessage& held) {
  LocalSubscription* one = held.subscription;
  if (LIVE_QUERIES_MUTATION("lose_held")) return;
  if (IsFull(*one, held.record.header)) {
    ResetForRoom(one, held.record.header.seq);
    FlushBoth();
    return;
  }
  Deliver(PipeOf(*one), held.record, held.more);
}

void ReleaseHeld() {
  FlushBoth();
  for (const Delivery delivery : {Delivery::kNotify, Delivery::kPoll}) {
    if (delivery == Delivery::kNotify && notifications_wait) continue;
    binaryheap* sources = MergeHeld(delivery);
    HeldMessage held;
    while (NextHeld(sources, &held)) {
      Release(held);
      // All may have been discarded.
      RecordQueue* queue = held.subscription->held;
      const size_t bytes = queue->bytes();
      queue->ForgetRead();
      held_budget.Release(bytes - queue->bytes());
    }
  }
}

// What cannot be read is lost, so the subscriptions are reset.
void GiveUpOnDamage() {
  ereport(LOG, errmsg("live_queries found damaged messages in the mailbox of this connection"));
  inbox().overflowed = true;
  lost_because = "messages were damaged";
}

// Messages leave in the order of their records. `inbox` moves on only after what came before has
// left, so that an error repeats nothing and loses nothing.
void DispatchBlocks() {
  while (DsaPointerIsValid(inbox().block)) {
    const MailBlockShared* block = FromArea<MailBlockShared>(inbox().block);
    const std::byte* bytes = reinterpret_cast<const std::byte*>(block + 1);
    RecordReader reader({bytes + inbox().offset, block->bytes - inbox().offset});
    const uint64_t start = inbox().offset;
    while (const auto record = reader.Next()) {
      Process(*record);
      inbox().offset = start + reader.offset();
    }
    if (reader.corrupt()) GiveUpOnDamage();
    const dsa_pointer done = inbox().block;
    inbox().block = block->next;
    inbox().offset = 0;
    FreeBlock(MyConnectionIfAny(), done);
  }
}

void DispatchSpill() {
  if (inbox().spill_read == inbox().spill_end) return;
  LIVE_QUERIES_FAULT("client-unspill");
  // An error leaves the file open, for the next call to close.
  static File file = -1;
  if (file >= 0) FileClose(file);
  file = -1;
  file = OpenSpillForReading(MyConnectionIfAny()->connection_id, lane);
  while (inbox().spill_read < inbox().spill_end) {
    const std::span<const std::byte> bytes = ReadSpill(file, inbox());
    RecordReader reader(bytes);
    size_t done = 0;
    while (const auto record = reader.Next()) {
      Process(*record);
      inbox().spill_read += reader.offset() - done;
      done = reader.offset();
    }
    pfree(const_cast<std::byte*>(bytes.data()));
    if (done > 0) continue;
    GiveUpOnDamage();
    inbox().spill_read = inbox().spill_end;
  }
  FileClose(file);
  file = -1;
  ReleaseSpill(MyConnectionIfAny(), lane, inbox());
}

// Its last message may be among those that are lost.
void ResetOrTerminate(LocalSubscription* one, std::string_view reason) {
  ConnectionShared* connection = MyConnectionIfAny();
  TerminationBody body;
  const bool over = WithLock(connection->lock, LW_SHARED, [&] {
    const SubscriptionShared* shared = FindSubscription(*connection, one->serial);
    if (shared == nullptr || shared->status != SubscriptionStatus::kTerminated) return false;
    body = WriteTermination(shared->problem);
    return true;
  });
  RecordHeader header = ResetHeader(one->serial, 0, reason);
  if (over) {
    header.kind = RecordKind::kTerminated;
    header.body_bytes = static_cast<uint32_t>(body.length);
  }
  Dispatch({header, over ? body.view() : reason});
}

void ResetLane() {
  for (LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next)
    if (one->consumer == lane) ResetOrTerminate(one, lost_because);
}

// An unsubscribe that was rolled back: they are to be told after all.
void TellWhoStayed() {
  for (LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next) {
    if (one->flow.IsOwedAReset())
      ResetOrTerminate(one, "a reset came in a transaction that was rolled back");
  }
}

void CountResets(const LocalSubscription& one) {
  DatabaseShared* database = one.delivered_resets > 0 ? FindDatabase(MyDatabaseId) : nullptr;
  if (database != nullptr) database->consumers[one.consumer].resets.Add(one.delivered_resets);
}

// Brings the counters of shared memory up to date.
void ShareCounters() {
  ConnectionShared* connection = MyConnectionIfAny();
  const TimestampTz now = GetCurrentTimestamp();
  for (LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next) {
    if (one->taken_messages > 0 || one->delivered_messages > 0) {
      WithLock(connection->lock, LW_EXCLUSIVE, [&] {
        SubscriptionShared* shared = FindSubscription(*connection, one->serial);
        if (shared == nullptr) return;
        shared->messages_taken += one->taken_messages;
        shared->bytes_taken += one->taken_bytes;
        shared->messages += one->delivered_messages;
        shared->changes += one->delivered_changes;
        shared->resets += one->delivered_resets;
        if (one->delivered_messages == 0) return;
        shared->seq = one->delivered_seq;
        shared->last_delivered_at = now;
      });
      CountResets(*one);
      one->taken_messages = one->taken_bytes = 0;
      one->delivered_messages = one->delivered_changes = one->delivered_resets = 0;
    }
  }
}

void ProcessInbox() {
  LIVE_QUERIES_FAULT("client-taken");
  for (lane = 0; lane < kMaxConsumers; ++lane) {
    DispatchBlocks();
    DispatchSpill();
    FlushBoth();
    if (inbox().overflowed) ResetLane();
    inbox().overflowed = false;
  }
  lost_because = kTooManyReason;
  FlushBoth();
  LIVE_QUERIES_FAULT("client-count");
  ShareCounters();
  inbox_in_use = false;
}

// What cannot be delivered after several attempts (a full disk, temp_file_limit) is lost, so that
// the connection can go on.
void GiveUpOnErrors(ConnectionShared* connection) {
  ereport(LOG, errmsg("live_queries resets the live queries of this connection"),
          errdetail("Its messages could not be delivered, %d times in succession.", failures));
  // They may be what cannot be read.
  EmptyPollQueue(failures < 2 * kMostFailures);
  if (!inbox_in_use) TakeMail(connection, &inboxes);
  inbox_in_use = true;
  for (lane = 0; lane < kMaxConsumers; ++lane) {
    const dsa_pointer blocks = inbox().block;
    inbox().block = InvalidDsaPointer;
    FreeBlocks(connection, blocks);
    // Unless all of it had been read, and is released already: more may be spilled again by now.
    if (inbox().spill_read != inbox().spill_end) {
      inbox().spill_read = inbox().spill_end;
      ReleaseSpill(connection, lane, inbox());
    }
    inbox().overflowed = true;
  }
  lost_because = "messages could not be delivered";
  notify_pipe.waiting = poll_pipe.waiting = false;
  for (LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next) {
    DiscardHeld(one);
    if (!one->over) one->flow.OnUntold();
  }
  failures = 0;
}

void DeliverAll(ConnectionShared* connection) {
  HandOverSorted(kHolding);
  for (Pipe* pipe : {&notify_pipe, &poll_pipe}) HoldBack(pipe);
  SortPollQueue(kHolding);
  if (FirstLocal() == nullptr || !MailIsWaiting()) return;
  Prepare();
  // What an error interrupted goes on where it was: more of a transaction may follow.
  if (inbox_in_use) ProcessInbox();
  TellWhoStayed();
  ReleaseHeld();
  LIVE_QUERIES_FAULT("client-take");
  TakeMail(connection, &inboxes);
  inbox_in_use = true;
  ProcessInbox();
}

void NoteFailure() {
  if (delivering) ++failures;
  delivering = false;
}

}  // namespace

void DeliverMail(bool hold_notifications) {
  // Otherwise one that fails over and over could not be ended.
  CHECK_FOR_INTERRUPTS();
  ConnectionShared* connection = MyConnectionIfAny();
  if (connection == nullptr) return;
  NoteFailure();
  notifications_wait = hold_notifications;
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
  if (pg_atomic_read_u32(&connection->wake_pending) != 0 || inbox_in_use || failures > 0 ||
      notify_pipe.waiting || poll_pipe.waiting)
    return true;
  for (LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next)
    if (one->flow.IsOwedAReset() || (one->flow.CanRelease() && !one->held->empty())) return true;
  return false;
}

}  // namespace live_queries
