// The loop of delivery. Process: client backend.
#include "deliver/dispatch.hpp"

#include <span>

#include "deliver/mailbox.hpp"
#include "deliver/poll_queue.hpp"
#include "model/message.hpp"
#include "pg/compat.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "registry/connection.hpp"
#include "registry/settings.hpp"

extern "C" {
#include "access/xlog.h"
#include "commands/async.h"
#include "mb/pg_wchar.h"
#include "storage/ipc.h"
#include "utils/wait_event.h"
}

namespace live_queries {
namespace {

// One of the two ways out. A message waits here until it is known whether more of its transaction
// follows.
struct Pipe {
  Delivery delivery;
  SeqClock clock;
  bool waiting;
  RecordHeader header;
  SubscriptionId id;
  StringInfoData body;
};

MemoryContext delivery_context = nullptr;
MemoryContext message_context = nullptr;  // reset after each message
Pipe notify_pipe;
Pipe poll_pipe;
HeldBudget held_budget;
Inbox inbox;
bool inbox_in_use = false;

void FreeInbox(int, Datum) {
  while (DsaPointerIsValid(inbox.block)) {
    const dsa_pointer next = FromArea<MailBlockShared>(inbox.block)->next;
    dsa_free(Area(), inbox.block);
    inbox.block = next;
  }
}

void Prepare() {
  if (delivery_context != nullptr) return;
  MemoryContext context =
      AllocSetContextCreate(TopMemoryContext, "live_queries delivery", ALLOCSET_DEFAULT_SIZES);
  InMemoryContext(context, [&] {
    initStringInfo(&notify_pipe.body);
    initStringInfo(&poll_pipe.body);
  });
  message_context = AllocSetContextCreate(context, "live_queries message", ALLOCSET_DEFAULT_SIZES);
  notify_pipe.delivery = Delivery::kNotify;
  poll_pipe.delivery = Delivery::kPoll;
  before_shmem_exit(FreeInbox, 0);
  delivery_context = context;
}

// A client with another encoding might be unable to show a character. Within JSON, every one has an
// ASCII form.
bool NeedsEscapes() {
  return GetDatabaseEncoding() == PG_UTF8 && pg_get_client_encoding() != PG_UTF8 &&
         pg_get_client_encoding() != PG_SQL_ASCII;
}

char* EscapeNonAscii(const StringInfoData& text) {
  StringInfoData escaped;
  initStringInfo(&escaped);
  const char* end = text.data + text.len;
  for (const char* c = text.data; c < end;) {
    if (!IS_HIGHBIT_SET(*c)) {
      appendStringInfoCharMacro(&escaped, *c);
      ++c;
      continue;
    }
    const unsigned char* bytes = reinterpret_cast<const unsigned char*>(c);
    const pg_wchar code = utf8_to_unicode(bytes);
    if (code >= 0x10000)
      appendStringInfo(&escaped, "\\u%04x\\u%04x", 0xD800 + ((code - 0x10000) >> 10),
                       0xDC00 + ((code - 0x10000) & 0x3FF));
    else
      appendStringInfo(&escaped, "\\u%04x", code);
    c += pg_utf_mblen(bytes);
  }
  return escaped.data;
}

void Send(const SubscriptionId& id, const RecordView& record, SeqId seq, bool more) {
  StringInfoData text;
  initStringInfo(&text);
  StringInfoSink sink{&text};
  WriteMessage(sink, record, id.view(), seq, more);
  NotifyMyFrontEnd(MyConnectionIfAny()->channel, NeedsEscapes() ? EscapeNonAscii(text) : text.data,
                   MyProcPid);
}

void Deliver(Pipe* pipe, const SubscriptionId& id, const RecordView& record, bool more) {
  const SeqId stamped = pipe->clock.Stamp(SeqId{record.header.seq});
  const SeqId seq = LIVE_QUERIES_MUTATION("unstamped_seq") ? SeqId{record.header.seq} : stamped;
  if (LIVE_QUERIES_MUTATION("never_more")) more = false;
  MemoryContext outer = MemoryContextSwitchTo(message_context);
  if (pipe->delivery == Delivery::kNotify)
    Send(id, record, seq, more);
  else
    QueueForPoll(id, record, seq, more);
  MemoryContextSwitchTo(outer);
  MemoryContextReset(message_context);
  LocalSubscription* subscription = FindLocal(record.header.subscription_serial);
  if (subscription == nullptr) return;
  ++subscription->delivered_messages;
  subscription->delivered_changes += record.header.change_count;
  subscription->delivered_resets += record.header.kind == RecordKind::kReset ? 1 : 0;
  subscription->delivered_seq = seq.value;
  if (record.header.kind == RecordKind::kTerminated) subscription->terminated = true;
}

void Flush(Pipe* pipe, bool more) {
  if (!pipe->waiting) return;
  Deliver(pipe, pipe->id, {pipe->header, View(pipe->body)}, more);
  pipe->waiting = false;
}

void FlushBoth() {
  Flush(&notify_pipe, false);
  Flush(&poll_pipe, false);
}

void Obey(LocalSubscription* subscription, Verdict verdict, const RecordView& record);

// Nothing more fits: what the client has not taken yet stays, then comes a reset.
void ResetForRoom(LocalSubscription* subscription, uint64_t seq) {
  if (subscription->dropping) {
    subscription->told_off = true;  // see Dispatch
    return;
  }
  const RecordView reset = {ResetHeader(subscription->serial, seq, kHeldOverflowReason),
                            kHeldOverflowReason};
  Obey(subscription, subscription->flow.OnHeldOverflow(), reset);
}

bool QueueIsFull() {
  return PollQueueBytes() + poll_pipe.body.len > static_cast<size_t>(spill_size_kb) * 1024;
}

void Emit(LocalSubscription* subscription, const RecordView& record) {
  if (subscription->delivery == Delivery::kPoll && record.header.kind == RecordKind::kChanges &&
      QueueIsFull()) {
    ResetForRoom(subscription, record.header.seq);
    return;
  }
  Pipe* pipe = subscription->delivery == Delivery::kNotify ? &notify_pipe : &poll_pipe;
  // A reset has no `more`. Before the message that waits, whose `more` may be false: then all
  // subscriptions show one point in time, or their clients know that they do not.
  if (record.header.kind == RecordKind::kReset && pipe->waiting &&
      pipe->header.seq == record.header.seq &&
      pipe->header.subscription_serial != record.header.subscription_serial) {
    Deliver(pipe, subscription->id, record, false);
    return;
  }
  const bool same_transaction = pipe->waiting && record.header.kind == RecordKind::kChanges &&
                                pipe->header.kind == RecordKind::kChanges &&
                                pipe->header.xid == record.header.xid &&
                                pipe->header.seq == record.header.seq;
  Flush(pipe, same_transaction);
  pipe->header = record.header;
  pipe->id = subscription->id;
  resetStringInfo(&pipe->body);
  appendBinaryStringInfo(&pipe->body, record.body.data(), static_cast<int>(record.body.size()));
  pipe->waiting = true;
}

void DiscardHeld(LocalSubscription* subscription) {
  held_budget.Release(subscription->held->bytes());
  subscription->held->Clear();
}

void Hold(LocalSubscription* subscription, const RecordView& record) {
  held_budget.limit = static_cast<size_t>(spill_size_kb) * 1024;
  if (held_budget.Admit(record.body.size())) {
    subscription->held->Append(record.header, record.body);
    return;
  }
  ResetForRoom(subscription, record.header.seq);
}

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
      DiscardHeld(subscription);
      Emit(subscription, record);
      break;
    case Verdict::kHoldAlone:
      DiscardHeld(subscription);
      held_budget.bytes += record.body.size();
      subscription->held->Append(record.header, record.body);
      break;
  }
}

void Dispatch(const RecordView& record) {
  LocalSubscription* subscription = FindLocal(record.header.subscription_serial);
  if (subscription == nullptr) return;
  ++subscription->taken_messages;
  subscription->taken_bytes += record.header.body_bytes;
  const bool changes = record.header.kind == RecordKind::kChanges;
  // Whoever unsubscribes need not be told, unless that is rolled back.
  if (!changes && subscription->dropping) {
    subscription->told_off = true;
    return;
  }
  const bool visible = changes && !LIVE_QUERIES_MUTATION("deliver_visible") &&
                       subscription->bound.Sees(record.header.xid, record.header.seq);
  if (changes && LIVE_QUERIES_MUTATION("lose_first_change") && subscription->delivered_seq == 0 &&
      subscription->held->unread() == 0 && subscription->taken_messages == 1)
    return;
  Verdict verdict = subscription->flow.Decide(record.header, visible);
  if (subscription->dropping && verdict == Verdict::kDeliver) verdict = Verdict::kHold;
  Obey(subscription, verdict, record);
}

void ReleaseHeld() {
  for (LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next) {
    if (one->dropping || !one->flow.CanRelease() || one->held->unread() == 0) continue;
    const size_t bytes = one->held->bytes();
    RecordView record;
    while (one->held->Read(&record))
      if (!LIVE_QUERIES_MUTATION("lose_held")) Emit(one, record);
    FlushBoth();
    one->held->Clear();
    held_budget.Release(bytes);
  }
}

// Reads a piece of the spill file that holds at least one whole record.
std::span<const std::byte> ReadSpill(File file) {
  constexpr size_t kPiece = 256 * 1024;
  RecordHeader header;
  auto read = [&](void* place, size_t size) {
    size_t done = 0;
    while (done < size) {
      const int result =
          FileRead(file, static_cast<char*>(place) + done,
                   static_cast<int>(size - done < 64 * kPiece ? size - done : 64 * kPiece),
                   static_cast<off_t>(inbox.spill_read + done), WAIT_EVENT_BUFFILE_READ);
      if (result <= 0)
        ereport(ERROR, errcode_for_file_access(),
                errmsg("could not read spilled messages of live_queries: %m"));
      done += static_cast<size_t>(result);
    }
  };
  read(&header, sizeof(header));
  const size_t left = inbox.spill_end - inbox.spill_read;
  size_t size = RecordBytes(header.body_bytes);
  if (size < kPiece) size = kPiece;
  if (size > left) size = left;  // if that cuts a record off, its header is damaged: DispatchSpill
  std::byte* bytes = static_cast<std::byte*>(palloc_extended(size, MCXT_ALLOC_HUGE));
  read(bytes, size);
  return {bytes, size};
}

// What cannot be read is lost, so the subscriptions are reset.
void GiveUpOnDamage() {
  ereport(LOG, errmsg("live_queries found damaged messages in the mailbox of this connection"));
  inbox.overflowed = true;
}

// Messages leave in the order of their records. `inbox` moves on only after what came before has
// left, so that an error repeats nothing and loses nothing.
void DispatchBlocks() {
  while (DsaPointerIsValid(inbox.block)) {
    const MailBlockShared* block = FromArea<MailBlockShared>(inbox.block);
    const std::byte* bytes = reinterpret_cast<const std::byte*>(block + 1);
    RecordReader reader({bytes + inbox.offset, block->bytes - inbox.offset});
    const uint64_t start = inbox.offset;
    while (const auto record = reader.Next()) {
      Dispatch(*record);
      inbox.offset = start + reader.offset();
    }
    if (reader.corrupt()) GiveUpOnDamage();
    const dsa_pointer done = inbox.block;
    inbox.block = block->next;
    inbox.offset = 0;
    dsa_free(Area(), done);
  }
}

void DispatchSpill() {
  if (inbox.spill_read == inbox.spill_end) return;
  LIVE_QUERIES_FAULT("client-unspill");
  // An error leaves the file open, for the next call to close.
  static File file = -1;
  if (file >= 0) FileClose(file);
  file = -1;
  file = OpenSpillForReading(MyConnectionIfAny()->connection_id);
  while (inbox.spill_read < inbox.spill_end) {
    const std::span<const std::byte> bytes = ReadSpill(file);
    RecordReader reader(bytes);
    size_t done = 0;
    while (const auto record = reader.Next()) {
      Dispatch(*record);
      if (done == 0 && LIVE_QUERIES_MUTATION("double_after_spill")) Dispatch(*record);
      inbox.spill_read += reader.offset() - done;
      done = reader.offset();
    }
    pfree(const_cast<std::byte*>(bytes.data()));
    if (done > 0) continue;
    GiveUpOnDamage();
    inbox.spill_read = inbox.spill_end;
  }
  FileClose(file);
  file = -1;
  ReleaseSpill(MyConnectionIfAny(), inbox);
}

// Its last message may be among those that are lost.
void ResetOrTerminate(LocalSubscription* one, std::string_view reason) {
  ConnectionShared* connection = MyConnectionIfAny();
  TerminationBody body;
  const bool over = WithLock(connection->lock, LW_SHARED, [&] {
    const SubscriptionShared* shared = FindSubscription(*connection, one->serial);
    if (shared == nullptr || shared->status != SubscriptionStatus::kTerminated) return false;
    body = WriteTermination(*shared);
    return true;
  });
  RecordHeader header = ResetHeader(one->serial, 0, reason);
  if (over) {
    header.kind = RecordKind::kTerminated;
    header.body_bytes = static_cast<uint32_t>(body.length);
  }
  Dispatch({header, over ? body.view() : reason});
}

void ResetAll() {
  for (LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next)
    ResetOrTerminate(one, "too many messages were waiting for the client");
}

// An unsubscribe that was rolled back: they are to be told after all.
void TellWhoStayed() {
  for (LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next) {
    if (!one->told_off || one->dropping) continue;
    one->told_off = false;
    ResetOrTerminate(one, "a reset came in a transaction that was rolled back");
  }
}

// Brings the counters of shared memory up to date, and forgets what is over.
void ShareCounters() {
  ConnectionShared* connection = MyConnectionIfAny();
  const TimestampTz now = GetCurrentTimestamp();
  uint64_t resets = 0;
  for (LocalSubscription* one = FirstLocal(); one != nullptr;) {
    LocalSubscription* next = one->next;
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
      resets += one->delivered_resets;
      one->taken_messages = one->taken_bytes = 0;
      one->delivered_messages = one->delivered_changes = one->delivered_resets = 0;
    }
    if (one->terminated) ForgetTerminated(one);
    one = next;
  }
  DatabaseShared* database = resets > 0 ? FindDatabase(MyDatabaseId) : nullptr;
  if (database != nullptr) pg_atomic_fetch_add_u64(&database->resets, static_cast<int64>(resets));
}

}  // namespace

void DeliverMail() {
  ConnectionShared* connection = MyConnectionIfAny();
  if (connection == nullptr || FirstLocal() == nullptr) return;
  Prepare();
  SortPollQueue(Hold);
  if (!MailIsWaiting() && !notify_pipe.waiting && !poll_pipe.waiting) return;
  FlushBoth();  // what an error interrupted
  TellWhoStayed();
  ReleaseHeld();
  if (!inbox_in_use) {
    LIVE_QUERIES_FAULT("client-take");
    TakeMail(connection, &inbox);
    inbox_in_use = true;
  }
  LIVE_QUERIES_FAULT("client-taken");
  DispatchBlocks();
  DispatchSpill();
  FlushBoth();
  if (inbox.overflowed) ResetAll();
  inbox.overflowed = false;
  FlushBoth();
  inbox_in_use = false;
  ShareCounters();
}

bool MailIsWaiting() {
  ConnectionShared* connection = MyConnectionIfAny();
  if (connection == nullptr) return false;
  if (pg_atomic_read_u32(&connection->wake_pending) != 0 || inbox_in_use) return true;
  for (LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next)
    if (!one->dropping && (one->told_off || (one->flow.CanRelease() && one->held->unread() > 0)))
      return true;
  return false;
}

void ForgetTermination(const SubscriptionId* id) { ForgetTerminations(id, Hold); }

SeqId StampPosition(SeqId seq) {
  poll_pipe.clock.Stamp(seq);
  return notify_pipe.clock.Stamp(seq);
}

void StartFrom(LocalSubscription* subscription, Snapshot snapshot, bool read_it) {
  VisibilityBound& bound = subscription->bound;
  bound.xmin = snapshot->xmin;
  bound.xmax = snapshot->xmax;
  bound.running_count = snapshot->xcnt;
  bound.running = static_cast<TransactionId*>(
      MemoryContextAlloc(subscription->context, sizeof(TransactionId) * (snapshot->xcnt + 1)));
  // Where nothing runs, the server leaves the array away.
  if (snapshot->xcnt > 0)
    memcpy(bound.running, snapshot->xip, sizeof(TransactionId) * snapshot->xcnt);
  bound.lsn = GetXLogInsertRecPtr();
  if (read_it && subscription->flow.OnSnapshotStarted() == HeldMessages::kDiscard)
    DiscardHeld(subscription);
}

void FinishSnapshot(LocalSubscription* subscription) {
  subscription->cursor[0] = '\0';
  subscription->flow.OnSnapshotRead();
}

}  // namespace live_queries
