// The loop of delivery. Process: client backend.
#include "deliver/dispatch.hpp"

#include <span>

#include "deliver/mailbox.hpp"
#include "model/message.hpp"
#include "pg/fault.hpp"
#include "pg/compat.hpp"
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
RecordQueue* poll_queue = nullptr;
bool sort_queue = false;  // subscriptions have ended or paused since it was filled
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
  message_context =
      AllocSetContextCreate(context, "live_queries message", ALLOCSET_DEFAULT_SIZES);
  notify_pipe.delivery = Delivery::kNotify;
  poll_pipe.delivery = Delivery::kPoll;
  poll_queue = RecordQueue::Create(context);
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
  NotifyMyFrontEnd(MyConnectionIfAny()->channel,
                   NeedsEscapes() ? EscapeNonAscii(text) : text.data, MyProcPid);
}

// In a queued record's flags: more of its transaction follows.
constexpr uint8_t kMoreFlag = 1;

// The body of a queued record: length of the id, id, body. Formatted when it is polled.
void Queue(const SubscriptionId& id, const RecordView& record, SeqId seq, bool more) {
  StringInfoData text;
  initStringInfo(&text);
  appendStringInfoChar(&text, static_cast<char>(id.view().size()));
  StringInfoSink sink{&text};
  sink.Append(id.view());
  sink.Append(record.body);
  RecordHeader header = record.header;
  header.seq = seq.value;
  header.flags = more ? kMoreFlag : 0;
  header.body_bytes = static_cast<uint32_t>(text.len);
  poll_queue->Append(header, View(text));
}

void Flush(Pipe* pipe, bool more) {
  if (!pipe->waiting) return;
  const RecordView record = {pipe->header, View(pipe->body)};
  const SeqId stamped = pipe->clock.Stamp(SeqId{record.header.seq});
  const SeqId seq = LIVE_QUERIES_MUTATION("unstamped_seq") ? SeqId{record.header.seq} : stamped;
  if (LIVE_QUERIES_MUTATION("never_more")) more = false;
  MemoryContext outer = MemoryContextSwitchTo(message_context);
  if (pipe->delivery == Delivery::kNotify)
    Send(pipe->id, record, seq, more);
  else
    Queue(pipe->id, record, seq, more);
  MemoryContextSwitchTo(outer);
  MemoryContextReset(message_context);
  pipe->waiting = false;
  LocalSubscription* subscription = FindLocal(record.header.subscription_serial);
  if (subscription == nullptr) return;
  ++subscription->delivered_messages;
  subscription->delivered_changes += record.header.change_count;
  subscription->delivered_resets += record.header.kind == RecordKind::kReset ? 1 : 0;
  subscription->delivered_seq = seq.value;
  if (record.header.kind == RecordKind::kTerminated) subscription->terminated = true;
}

void FlushBoth() {
  Flush(&notify_pipe, false);
  Flush(&poll_pipe, false);
}

void Obey(LocalSubscription* subscription, Verdict verdict, const RecordView& record);

// Nothing more fits: what the client has not taken yet stays, then comes a reset.
void ResetForRoom(LocalSubscription* subscription, uint64_t seq) {
  const RecordView reset = {ResetHeader(subscription->serial, seq, kHeldOverflowReason),
                            kHeldOverflowReason};
  Obey(subscription, subscription->flow.OnHeldOverflow(), reset);
}

bool QueueIsFull() {
  return poll_queue->bytes() + poll_pipe.body.len > static_cast<size_t>(spill_size_kb) * 1024;
}

void Emit(LocalSubscription* subscription, const RecordView& record) {
  if (subscription->delivery == Delivery::kPoll && record.header.kind == RecordKind::kChanges &&
      QueueIsFull()) {
    ResetForRoom(subscription, record.header.seq);
    return;
  }
  Pipe* pipe = subscription->delivery == Delivery::kNotify ? &notify_pipe : &poll_pipe;
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

// What becomes of a queued record now.
enum class Queued : uint8_t { kStays, kHeld, kGone };

// Whose queued termination its client does not want any more; none, one or all.
struct UnwantedTermination {
  bool all;
  SubscriptionId id;
};

Queued Judge(const RecordView& record, const UnwantedTermination& unwanted,
             LocalSubscription** subscription) {
  const RecordHeader& header = record.header;
  if (header.kind == RecordKind::kTerminated) {
    const std::string_view id(record.body.data() + 1, static_cast<unsigned char>(record.body[0]));
    return unwanted.all || unwanted.id.view() == id ? Queued::kGone : Queued::kStays;
  }
  *subscription = FindLocal(header.subscription_serial);
  if (*subscription == nullptr) return Queued::kGone;
  const bool held =
      (*subscription)->dropping || (*subscription)->flow.status() == SubscriptionStatus::kPaused;
  return held ? Queued::kHeld : Queued::kStays;
}

// Copies queued records, each one late: only then is it known whether more of its transaction
// follows.
struct LateCopy {
  RecordQueue* to;
  RecordHeader header;
  StringInfoData body;
  bool waiting;

  void Add(const RecordView& record) {
    Finish(record.header.xid);
    header = record.header;
    resetStringInfo(&body);
    appendBinaryStringInfo(&body, record.body.data(), static_cast<int>(record.body.size()));
    waiting = true;
  }
  void Finish(uint32_t next_xid) {
    if (!waiting) return;
    if (header.xid != next_xid) header.flags = 0;
    to->Append(header, View(body));
    waiting = false;
  }
};

// After a subscription was ended or paused: takes what is queued of it out of the queue. What the
// running transaction has polled stays in front, for a rollback to give back.
void SortQueue(const UnwantedTermination& unwanted) {
  sort_queue = false;
  const uint64_t polled = poll_queue->read_count();
  poll_queue->Rewind();
  LateCopy copy = {RecordQueue::Create(delivery_context), {}, {}, false};
  initStringInfo(&copy.body);
  RecordView record;
  for (uint64_t i = 0; poll_queue->Read(&record); ++i) {
    LocalSubscription* subscription = nullptr;
    const Queued fate = i < polled ? Queued::kStays : Judge(record, unwanted, &subscription);
    if (fate == Queued::kStays) copy.Add(record);
    if (fate != Queued::kHeld) continue;
    const size_t prefix = 1 + static_cast<unsigned char>(record.body[0]);
    record.body.remove_prefix(prefix);
    record.header.body_bytes -= static_cast<uint32_t>(prefix);
    record.header.flags = 0;
    Hold(subscription, record);
  }
  copy.Finish(0);
  poll_queue->Destroy();
  poll_queue = copy.to;
  for (uint64_t i = 0; i < polled; ++i) (void)poll_queue->Read(&record);
  pfree(copy.body.data);
}

void Dispatch(const RecordView& record) {
  LocalSubscription* subscription = FindLocal(record.header.subscription_serial);
  if (subscription == nullptr) return;
  ++subscription->taken_messages;
  subscription->taken_bytes += record.header.body_bytes;
  const bool changes = record.header.kind == RecordKind::kChanges;
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
      const int result = FileRead(file, static_cast<char*>(place) + done,
                                  static_cast<int>(size - done < 64 * kPiece ? size - done : 64 * kPiece),
                                  static_cast<off_t>(inbox.spill_read + done),
                                  WAIT_EVENT_BUFFILE_READ);
      if (result <= 0)
        ereport(ERROR, errcode_for_file_access(),
                errmsg("could not read spilled messages of live_queries: %m"));
      done += static_cast<size_t>(result);
    }
  };
  read(&header, sizeof(header));
  const size_t left = inbox.spill_end - inbox.spill_read;
  size_t size = RecordBytes(header.body_bytes);
  if (size < kPiece) size = left < kPiece ? left : kPiece;
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
  File file = OpenSpillForReading(MyConnectionIfAny()->connection_id);
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
  ReleaseSpill(MyConnectionIfAny(), inbox);
}

void ResetAll() {
  constexpr std::string_view kReason = "too many messages were waiting for the client";
  ConnectionShared* connection = MyConnectionIfAny();
  for (LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next) {
    // Its last message may be among those that were thrown away.
    TerminationBody body;
    const bool over = WithLock(connection->lock, LW_SHARED, [&] {
      const SubscriptionShared* shared = FindSubscription(*connection, one->serial);
      if (shared == nullptr || shared->status != SubscriptionStatus::kTerminated) return false;
      body = WriteTermination(*shared);
      return true;
    });
    RecordHeader header = ResetHeader(one->serial, 0, kReason);
    if (over) {
      header.kind = RecordKind::kTerminated;
      header.body_bytes = static_cast<uint32_t>(body.length);
    }
    Obey(one, one->flow.Decide(header, false), {header, over ? body.view() : kReason});
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
  if (sort_queue) SortQueue({});
  if (!MailIsWaiting() && !notify_pipe.waiting && !poll_pipe.waiting) return;
  FlushBoth();  // what an error interrupted
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
    if (!one->dropping && one->flow.CanRelease() && one->held->unread() > 0) return true;
  return false;
}

bool NextPolled(PolledMessage* message) {
  Prepare();
  RecordView record;
  if (!poll_queue->Read(&record)) return false;
  const size_t id_bytes = static_cast<unsigned char>(record.body[0]);
  message->seq = SeqId{record.header.seq};
  message->subscription_id = {record.body.data() + 1, id_bytes};
  record.body.remove_prefix(1 + id_bytes);
  StringInfoData text;
  initStringInfo(&text);
  StringInfoSink sink{&text};
  WriteMessage(sink, record, message->subscription_id, message->seq,
               (record.header.flags & kMoreFlag) != 0);
  message->message = View(text);
  return true;
}

void ForgetTermination(const SubscriptionId& id) {
  if (poll_queue != nullptr && poll_queue->unread() > 0) SortQueue({false, id});
}

void ForgetAllTerminations() {
  if (poll_queue != nullptr && poll_queue->unread() > 0) SortQueue({true, {}});
}

void SortQueueLater() { sort_queue = poll_queue != nullptr; }

void ForgetPolled() {
  if (poll_queue != nullptr) poll_queue->ForgetRead();
}

void GiveBackPolled(uint64_t kept) {
  if (poll_queue == nullptr) return;
  poll_queue->Rewind();
  RecordView record;
  for (uint64_t i = 0; i < kept; ++i) (void)poll_queue->Read(&record);
}

uint64_t PolledCount() { return poll_queue == nullptr ? 0 : poll_queue->read_count(); }

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
