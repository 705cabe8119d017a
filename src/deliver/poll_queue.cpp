// Queues, sorts and hands out. Process: client backend.
#include "deliver/poll_queue.hpp"

#include "deliver/record_queue.hpp"
#include "model/message.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "pg/try_catch.hpp"
#include "registry/connection.hpp"

namespace live_queries {
namespace {

RecordQueue* poll_queue = nullptr;
bool sort_queue = false;  // subscriptions have ended or paused since it was filled
// It was sorted behind what the running transaction has polled, whose `more` speaks of what was
// there before.
bool sorted_behind_polled = false;
// Taken out of it, and not handed to their subscriptions yet; nullptr: none.
RecordQueue* to_hold = nullptr;
// What takes their places when the queue is sorted; left here by an error.
RecordQueue* sorted = nullptr;
RecordQueue* sorted_out = nullptr;

// How many were polled and forgotten, ever. With those that the queue still has, that is the place
// to which a rollback goes back.
uint64_t forgotten = 0;
// What an abort or a commit has asked for, done where errors are possible: the queue is to be read
// from the start up to here, and that much forgotten.
struct Pending {
  bool give_back;
  bool forget;
  uint64_t kept;
};
Pending pending = {false, false, 0};

// In a queued record's flags: more of its transaction follows.
constexpr uint8_t kMoreFlag = 1;

void Prepare() {
  if (poll_queue == nullptr) poll_queue = RecordQueue::Create(TopMemoryContext);
}

// Whose queued terminations the client does not want any more.
struct Refusal {
  Refusal* older;
  uint64_t number;  // counted by the connection
  bool confirmed;
  bool all;
  SubscriptionId id;
  uint64_t newest_subscription;  // that is meant, as NumberOfSerial
};
Refusal* newest_refusal = nullptr;
uint64_t last_refusal = 0;

std::string_view QueuedId(const RecordView& record) {
  return {record.body.data() + 1, static_cast<unsigned char>(record.body[0])};
}

enum class Which : uint8_t { kAny, kConfirmed };

bool IsRefused(const RecordView& record, Which which) {
  if (record.header.kind != RecordKind::kTerminated) return false;
  const uint64_t number = NumberOfSerial(record.header.subscription_serial);
  for (const Refusal* one = newest_refusal; one != nullptr; one = one->older)
    if ((one->confirmed || which == Which::kAny) && number <= one->newest_subscription &&
        (one->all || one->id.view() == QueuedId(record)))
      return true;
  return false;
}

// What becomes of a queued record now.
enum class Queued : uint8_t { kStays, kHeld, kGone };

Queued Judge(const RecordView& record, LocalSubscription** subscription) {
  const RecordHeader& header = record.header;
  if (header.kind == RecordKind::kTerminated)
    return IsRefused(record, Which::kConfirmed) ? Queued::kGone : Queued::kStays;
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
  RecordHeader reset_header;  // of the same subscription, right behind the message that waits
  StringInfoData reset_body;
  bool reset_follows;

  void Add(const RecordView& record) {
    // It has no part in `more`, and stands before the message of another that waits, as when it
    // came.
    if (record.header.kind == RecordKind::kReset && waiting &&
        header.kind == RecordKind::kChanges && record.header.seq == header.seq) {
      if (record.header.subscription_serial == header.subscription_serial) {
        Copy(record, &reset_header, &reset_body);
        reset_follows = true;
      } else {
        to->Append(record.header, record.body);
      }
      return;
    }
    Finish(record.header.xid);
    Copy(record, &header, &body);
    waiting = true;
  }
  void Finish(uint32_t next_xid) {
    if (!waiting) return;
    if (header.xid != next_xid) header.flags = 0;
    to->Append(header, View(body));
    if (reset_follows) to->Append(reset_header, View(reset_body));
    waiting = reset_follows = false;
  }
  static void Copy(const RecordView& record, RecordHeader* to_header, StringInfo to_body) {
    *to_header = record.header;
    resetStringInfo(to_body);
    appendBinaryStringInfo(to_body, record.body.data(), static_cast<int>(record.body.size()));
  }
};

void Settle() {
  if (!pending.give_back) return;
  poll_queue->Rewind();
  RecordView record;
  for (uint64_t i = 0; i < pending.kept; ++i) (void)poll_queue->Read(&record);
  if (pending.forget) poll_queue->ForgetRead();
  pending = {false, false, 0};
}

void Renew(RecordQueue** queue) {
  if (*queue != nullptr) (*queue)->Destroy();
  *queue = nullptr;
  *queue = RecordQueue::Create(TopMemoryContext);
}

// What is held already, by a pause that a rollback has brought back, is newer than what was queued.
bool HoldsNewer(const LocalSubscription& one) { return one.leaves_queue && !one.held->empty(); }

// Copies the queue to `sorted` and `sorted_out`. What the running transaction has polled stays in
// front, for a rollback to give back.
void CopySorted(uint64_t polled, uint32_t next_xid) {
  Renew(&sorted);
  Renew(&sorted_out);
  LateCopy copy = {};
  copy.to = sorted;
  initStringInfo(&copy.body);
  initStringInfo(&copy.reset_body);
  RecordView record;
  for (uint64_t i = 0; poll_queue->Read(&record); ++i) {
    if (i < polled) {
      sorted->Append(record.header, record.body);
      continue;
    }
    LocalSubscription* subscription = nullptr;
    const Queued fate = Judge(record, &subscription);
    if (fate == Queued::kStays) copy.Add(record);
    if (fate != Queued::kHeld) continue;
    const size_t prefix = 1 + QueuedId(record).size();
    record.body.remove_prefix(prefix);
    record.header.body_bytes -= static_cast<uint32_t>(prefix);
    record.header.flags = 0;
    LIVE_QUERIES_FAULT("poll-queue-sort");
    sorted_out->Append(record.header, record.body);
    subscription->leaves_queue = true;
  }
  for (LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next) {
    if (!HoldsNewer(*one)) continue;
    one->held->Rewind();
    while (one->held->Read(&record)) sorted_out->Append(record.header, record.body);
  }
  copy.Finish(next_xid);
  for (uint64_t i = 0; i < polled; ++i) (void)sorted->Read(&record);
  pfree(copy.body.data);
  pfree(copy.reset_body.data);
}

void ForgetConfirmedRefusals() {
  for (Refusal** link = &newest_refusal; *link != nullptr;) {
    Refusal* one = *link;
    if (!one->confirmed) {
      link = &one->older;
      continue;
    }
    *link = one->older;
    pfree(one);
  }
}

// After a subscription was ended or paused: takes what is queued of it out of the queue. An error
// leaves the queue as it is, or what was taken out in `to_hold`.
void Sort(const Holding& holding, uint32_t next_xid) {
  Settle();
  for (LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next)
    one->leaves_queue = false;
  const RecordQueue::ReadPosition position = poll_queue->read_position();
  poll_queue->Rewind();
  TryFinally([&] { CopySorted(position.read_count, next_xid); },
             [&] { poll_queue->ReturnTo(position); });
  poll_queue->Destroy();
  poll_queue = sorted;
  to_hold = sorted_out;
  sorted = sorted_out = nullptr;
  sort_queue = false;
  sorted_behind_polled = position.read_count > 0;
  ForgetConfirmedRefusals();
  for (LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next)
    if (HoldsNewer(*one)) holding.discard(one);
  HandOverSorted(holding);
}

}  // namespace

// The body of a queued record: length of the id, id, body. Formatted when it is polled.
void QueueForPoll(const SubscriptionId& id, const RecordView& record, SeqId seq, bool more) {
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
  Prepare();
  poll_queue->Append(header, View(text));
}

bool NextPolled(PolledMessage* message) {
  Prepare();
  Settle();
  RecordView record;
  do
    if (!poll_queue->Read(&record)) return false;
  while (IsRefused(record, Which::kAny));
  message->seq = SeqId{record.header.seq};
  message->subscription_id = QueuedId(record);
  record.body.remove_prefix(1 + message->subscription_id.size());
  StringInfoData text;
  initStringInfo(&text);
  StringInfoSink sink{&text};
  WriteMessage(sink, record, message->subscription_id, message->seq,
               (record.header.flags & kMoreFlag) != 0);
  message->message = View(text);
  return true;
}

void HandOverSorted(const Holding& holding) {
  if (to_hold == nullptr) return;
  to_hold->Rewind();
  RecordView record;
  while (to_hold->Read(&record)) {
    LIVE_QUERIES_FAULT("poll-queue-sorted");
    LocalSubscription* subscription = FindLocal(record.header.subscription_serial);
    if (subscription != nullptr) holding.hold(subscription, record);
    to_hold->ForgetRead();
  }
  to_hold->Destroy();
  to_hold = nullptr;
}

void SortPollQueue(const Holding& holding, uint32_t next_xid) {
  if (sort_queue) Sort(holding, next_xid);
}

void EmptyPollQueue(bool keep_terminations) {
  if (poll_queue == nullptr) return;
  if (keep_terminations) Settle();
  Renew(&sorted);
  RecordView record;
  while (keep_terminations && poll_queue->Read(&record))
    if (record.header.kind == RecordKind::kTerminated) sorted->Append(record.header, record.body);
  if (to_hold != nullptr) to_hold->Destroy();
  to_hold = nullptr;
  forgotten = PolledCount();
  pending = {false, false, 0};
  poll_queue->Destroy();
  poll_queue = sorted;
  sorted = nullptr;
}

bool PollQueueIsEmpty() { return poll_queue == nullptr || poll_queue->empty(); }

void RefuseTerminations(const SubscriptionId* id) {
  Refusal* refusal = AllocateIn<Refusal>(TopMemoryContext);
  *refusal = {newest_refusal,
              ++last_refusal,
              false,
              id == nullptr,
              {},
              pg_atomic_read_u64(&Control()->subscriptions_created)};
  if (id != nullptr) refusal->id = *id;
  newest_refusal = refusal;
}

uint64_t LastRefusal() { return last_refusal; }

void TakeBackRefusals(uint64_t last) {
  while (newest_refusal != nullptr && newest_refusal->number > last) {
    Refusal* refusal = newest_refusal;
    newest_refusal = refusal->older;
    pfree(refusal);
  }
}

void ConfirmRefusals() {
  for (Refusal* one = newest_refusal; one != nullptr; one = one->older) one->confirmed = true;
  SortQueueLater();
}

size_t PollQueueBytes() { return poll_queue == nullptr ? 0 : poll_queue->bytes(); }

void SortQueueLater() { sort_queue = poll_queue != nullptr; }

void ForgetPolled() {
  if (poll_queue == nullptr) return;
  forgotten = PolledCount();
  if (pending.give_back)
    pending.forget = true;
  else
    poll_queue->ForgetRead();
}

void GiveBackPolled(uint64_t before) {
  if (poll_queue == nullptr || before >= PolledCount()) return;
  pending.give_back = true;
  pending.kept = before > forgotten ? before - forgotten : 0;
  if (sorted_behind_polled) sort_queue = true;
}

uint64_t PolledCount() {
  if (poll_queue == nullptr || pending.forget) return forgotten;
  return forgotten + (pending.give_back ? pending.kept : poll_queue->read_count());
}

}  // namespace live_queries
