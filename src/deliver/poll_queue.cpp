// Keeps a record queue for each role, merges those that the current role may read, and takes out
// what a subscription leaves behind in them. Process: client backend.
#include "deliver/poll_queue.hpp"

#include "deliver/permission.hpp"
#include "deliver/record_queue.hpp"
#include "deliver/refusals.hpp"
#include "model/message.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "pg/try_catch.hpp"
#include "registry/connection.hpp"

namespace live_queries {
namespace {

// What an abort or a commit has asked for, done where errors are possible: the queue is to be read
// from the start up to here, and that much forgotten.
struct Pending {
  bool give_back;
  bool forget;
  uint64_t kept;
};

// What waits of one role's subscriptions. It is polled from the start on, whoever does it.
struct RoleQueue {
  RoleQueue* next;
  Oid role;  // kLostRole: see ReaderOf
  RecordQueue* records;
  // How many were polled and forgotten, ever. With those that the queue still has, that is the
  // place to which a rollback goes back.
  uint64_t forgotten;
  Pending pending;
  bool sort;  // subscriptions have ended, or wait again, since it was filled
  // It was sorted behind what the running transaction has polled, whose `more` speaks of what was
  // there before.
  bool sorted_behind_polled;
  // For the running live.poll:
  bool noted;     // that it reads here
  bool readable;  // by the current role
  RecordQueue::ReadPosition position;
};

RoleQueue* first_queue = nullptr;
uint64_t queued = 0;  // ever, in all of them

// Taken out of one, and not handed to their subscriptions yet; nullptr: none.
RecordQueue* to_hold = nullptr;
// What takes their places when a queue is sorted; left here by an error.
RecordQueue* sorted = nullptr;
RecordQueue* sorted_out = nullptr;

// In a queued record's flags: more of its transaction follows, perhaps of another role's.
constexpr uint8_t kMoreFlag = 1;

// In front of a queued record's body; the id follows. The header's own seq is the record's place in
// the order of all queues.
struct QueuedPrefix {
  uint64_t seq;  // that its message will have
  uint64_t id_bytes;
};

QueuedPrefix PrefixOf(std::string_view body) {
  QueuedPrefix prefix;
  memcpy(&prefix, body.data(), sizeof(prefix));
  return prefix;
}

std::string_view QueuedId(const RecordView& record) {
  return {record.body.data() + sizeof(QueuedPrefix), PrefixOf(record.body).id_bytes};
}

// As it was before it was queued, but with the seq that its message has.
RecordView Unqueued(RecordView record) {
  const QueuedPrefix prefix = PrefixOf(record.body);
  const size_t bytes = sizeof(prefix) + prefix.id_bytes;
  record.header.seq = prefix.seq;
  record.header.flags = 0;
  record.header.body_bytes -= static_cast<uint32_t>(bytes);
  record.body.remove_prefix(bytes);
  return record;
}

constexpr Oid kLostRole = InvalidOid;

// For the session itself is that a subscription is over whose role it has lost: it may be that
// nobody in it can become that role any more.
Oid ReaderOf(const LocalSubscription& subscription, RecordKind kind) {
  return kind == RecordKind::kTerminated && HasLostRole(subscription) ? kLostRole
                                                                      : subscription.role;
}

bool MayRead(const RoleQueue& queue) {
  return queue.role == kLostRole ? IsSessionItself() : MayActFor(queue.role);
}

RoleQueue* FindQueue(Oid role) {
  RoleQueue* queue = first_queue;
  while (queue != nullptr && queue->role != role) queue = queue->next;
  return queue;
}

RoleQueue* QueueOf(Oid role) {
  RoleQueue* queue = FindQueue(role);
  if (queue != nullptr) return queue;
  queue = AllocateIn<RoleQueue>(TopMemoryContext);
  queue->role = role;
  queue->records = RecordQueue::Create(TopMemoryContext);
  queue->next = first_queue;
  first_queue = queue;
  return queue;
}

// What becomes of a queued record now.
enum class Queued : uint8_t { kStays, kHeld, kGone };

Queued Judge(Oid role, const RecordView& record, LocalSubscription** subscription) {
  const RecordHeader& header = record.header;
  if (header.kind == RecordKind::kTerminated)
    return IsRefused(role, QueuedId(record), record.header, Which::kConfirmed) ? Queued::kGone
                                                                               : Queued::kStays;
  *subscription = FindLocal(header.subscription_serial);
  if (*subscription == nullptr) return Queued::kGone;
  const bool held = (*subscription)->flow.leaving() || (*subscription)->flow.IsWaiting();
  return held ? Queued::kHeld : Queued::kStays;
}

// Copies queued records, each one late: a reset may have to stand before it.
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
        header.kind == RecordKind::kChanges &&
        PrefixOf(record.body).seq == PrefixOf(View(body)).seq) {
      if (record.header.subscription_serial == header.subscription_serial) {
        Copy(record, &reset_header, &reset_body);
        reset_follows = true;
      } else {
        to->Append(record.header, record.body);
      }
      return;
    }
    Finish();
    Copy(record, &header, &body);
    waiting = true;
  }
  void Finish() {
    if (!waiting) return;
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

// How many of it were ever polled.
uint64_t PolledCount(const RoleQueue& queue) {
  if (queue.pending.forget) return queue.forgotten;
  return queue.forgotten +
         (queue.pending.give_back ? queue.pending.kept : queue.records->read_count());
}

void Settle(RoleQueue* queue) {
  if (!queue->pending.give_back) return;
  queue->records->Rewind();
  RecordView record;
  for (uint64_t i = 0; i < queue->pending.kept; ++i) (void)queue->records->Read(&record);
  if (queue->pending.forget) queue->records->ForgetRead();
  queue->pending = {false, false, 0};
}

void Renew(RecordQueue** queue) {
  if (*queue != nullptr) (*queue)->Destroy();
  *queue = nullptr;
  *queue = RecordQueue::Create(TopMemoryContext);
}

// What is held already, since a rollback has brought back a pause or an unread snapshot, is newer
// than what was queued.
bool HoldsNewer(const LocalSubscription& one) { return one.leaves_queue && !one.held->empty(); }

// Copies `queue` to `sorted` and `sorted_out`. What the running transaction has polled stays in
// front, for a rollback to give back.
void CopySorted(const RoleQueue& queue, uint64_t polled) {
  Renew(&sorted);
  Renew(&sorted_out);
  LateCopy copy = {};
  copy.to = sorted;
  initStringInfo(&copy.body);
  initStringInfo(&copy.reset_body);
  RecordView record;
  for (uint64_t i = 0; queue.records->Read(&record); ++i) {
    if (i < polled) {
      sorted->Append(record.header, record.body);
      continue;
    }
    LocalSubscription* subscription = nullptr;
    const Queued fate = Judge(queue.role, record, &subscription);
    if (fate == Queued::kStays) copy.Add(record);
    if (fate != Queued::kHeld || subscription == nullptr) continue;
    LIVE_QUERIES_FAULT("poll-queue-sort");
    record = Unqueued(record);
    sorted_out->Append(record.header, record.body);
    subscription->leaves_queue = true;
  }
  for (LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next) {
    if (!HoldsNewer(*one)) continue;
    one->held->Rewind();
    while (one->held->Read(&record)) sorted_out->Append(record.header, record.body);
  }
  copy.Finish();
  for (uint64_t i = 0; i < polled; ++i) (void)sorted->Read(&record);
  pfree(copy.body.data);
  pfree(copy.reset_body.data);
}

// After a subscription was ended or paused: takes what is queued of it out of the queue. An error
// leaves the queue as it is, or what was taken out in `to_hold`.
void Sort(RoleQueue* queue, const Holding& holding) {
  Settle(queue);
  for (LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next)
    one->leaves_queue = false;
  const RecordQueue::ReadPosition position = queue->records->read_position();
  queue->records->Rewind();
  TryFinally([&] { CopySorted(*queue, position.read_count); },
             [&] { queue->records->ReturnTo(position); });
  queue->records->Destroy();
  queue->records = sorted;
  to_hold = sorted_out;
  sorted = sorted_out = nullptr;
  queue->sort = false;
  queue->sorted_behind_polled = position.read_count > 0;
  for (LocalSubscription* one = FirstLocal(); one != nullptr; one = one->next)
    if (HoldsNewer(*one)) holding.discard(one);
  HandOverSorted(holding);
}

// Finds out which queues the current role may read.
void PrepareToRead() {
  for (RoleQueue* queue = first_queue; queue != nullptr; queue = queue->next) {
    queue->readable = queue->noted && MayRead(*queue);
    if (queue->readable) Settle(queue);
  }
}

// The queue with the next record for the current role, whose header is put into `next`; nullptr if
// none is left.
RoleQueue* NextQueue(RecordHeader* next) {
  RoleQueue* oldest = nullptr;
  RecordHeader header;
  for (RoleQueue* queue = first_queue; queue != nullptr; queue = queue->next) {
    if (!queue->readable || !queue->records->Peek(&header)) continue;
    if (oldest != nullptr && next->seq < header.seq) continue;
    oldest = queue;
    *next = header;
  }
  return oldest;
}

// Whether the current role will get more of the transaction of `header`, which is next in `queue`.
// An error leaves what was read here to be given back.
bool MoreFollows(RoleQueue* queue, const RecordHeader& header) {
  if ((header.flags & kMoreFlag) == 0) return false;
  for (RoleQueue* one = first_queue; one != nullptr; one = one->next)
    one->position = one->records->read_position();
  RecordHeader next;
  do {
    RecordView passed;
    (void)queue->records->Read(&passed);
    queue = NextQueue(&next);
    // A reset has no part in it.
  } while (queue != nullptr && next.kind == RecordKind::kReset);
  for (RoleQueue* one = first_queue; one != nullptr; one = one->next)
    one->records->ReturnTo(one->position);
  return queue != nullptr && next.kind == RecordKind::kChanges && next.xid == header.xid;
}

}  // namespace

void QueueForPoll(const LocalSubscription& subscription, const RecordView& record, SeqId seq,
                  bool more) {
  const std::string_view id = subscription.id.view();
  const QueuedPrefix prefix = {seq.value, id.size()};
  StringInfoData text;
  initStringInfo(&text);
  StringInfoSink sink{&text};
  sink.Append({reinterpret_cast<const char*>(&prefix), sizeof(prefix)});
  sink.Append(id);
  sink.Append(record.body);
  RecordHeader header = record.header;
  header.seq = queued + 1;
  header.flags = more ? kMoreFlag : 0;
  header.body_bytes = static_cast<uint32_t>(text.len);
  QueueOf(ReaderOf(subscription, header.kind))->records->Append(header, View(text));
  ++queued;
}

void StartReading() {
  for (RoleQueue* queue = first_queue; queue != nullptr; queue = queue->next) queue->noted = false;
}

bool NextUnnoted(UnreadQueue* unread) {
  for (RoleQueue* queue = first_queue; queue != nullptr; queue = queue->next) {
    if (queue->noted || !MayRead(*queue)) continue;
    *unread = {queue->role, PolledCount(*queue)};
    queue->noted = true;
    return true;
  }
  return false;
}

bool NextPolled(PolledMessage* message) {
  PrepareToRead();
  RecordHeader header;
  RecordView record;
  bool more;
  do {
    RoleQueue* queue = NextQueue(&header);
    if (queue == nullptr) return false;
    more = MoreFollows(queue, header);
    (void)queue->records->Read(&record);
    if (!IsRefused(queue->role, QueuedId(record), record.header, Which::kAny)) break;
  } while (true);
  message->subscription_id = QueuedId(record);
  record = Unqueued(record);
  message->seq = SeqId{record.header.seq};
  StringInfoData text;
  initStringInfo(&text);
  StringInfoSink sink{&text};
  WriteMessage(sink, record, message->subscription_id, message->seq, more);
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

void SortPollQueue(const Holding& holding) {
  for (RoleQueue* queue = first_queue; queue != nullptr; queue = queue->next)
    if (queue->sort) Sort(queue, holding);
  ForgetConfirmedRefusals();
}

void EmptyPollQueue(bool keep_terminations) {
  if (to_hold != nullptr) to_hold->Destroy();
  to_hold = nullptr;
  for (RoleQueue* queue = first_queue; queue != nullptr; queue = queue->next) {
    if (keep_terminations) Settle(queue);
    Renew(&sorted);
    const RecordQueue::ReadPosition position = queue->records->read_position();
    RecordView record;
    // An error leaves all of them for the next attempt.
    TryFinally(
        [&] {
          while (keep_terminations && queue->records->Read(&record))
            if (record.header.kind == RecordKind::kTerminated)
              sorted->Append(record.header, record.body);
        },
        [&] {
          if (keep_terminations) queue->records->ReturnTo(position);
        });
    queue->forgotten = PolledCount(*queue);
    queue->pending = {false, false, 0};
    queue->records->Destroy();
    queue->records = sorted;
    sorted = nullptr;
  }
}

bool PollQueueIsEmpty() {
  for (const RoleQueue* queue = first_queue; queue != nullptr; queue = queue->next)
    if (!queue->records->empty()) return false;
  return true;
}

bool EndWaitsForOthers(const SubscriptionId& id) {
  bool found = false;
  for (RoleQueue* queue = first_queue; queue != nullptr && !found; queue = queue->next) {
    if (MayRead(*queue)) continue;
    Settle(queue);
    const RecordQueue::ReadPosition position = queue->records->read_position();
    RecordView record;
    auto is_end = [&] {
      return record.header.kind == RecordKind::kTerminated && QueuedId(record) == id.view() &&
             !IsRefused(queue->role, QueuedId(record), record.header, Which::kAny);
    };
    TryFinally(
        [&] {
          while (!found && queue->records->Read(&record)) found = is_end();
        },
        [&] { queue->records->ReturnTo(position); });
  }
  return found;
}

void RefuseTerminations(const SubscriptionId* id, Whose whose) {
  for (const RoleQueue* queue = first_queue; queue != nullptr; queue = queue->next)
    if (whose == Whose::kAnybodys || MayRead(*queue)) Refuse(queue->role, id);
}

size_t PollQueueBytes() {
  size_t bytes = 0;
  for (const RoleQueue* queue = first_queue; queue != nullptr; queue = queue->next)
    bytes += queue->records->bytes();
  return bytes;
}

void SortQueueLater() {
  for (RoleQueue* queue = first_queue; queue != nullptr; queue = queue->next) queue->sort = true;
}

void ForgetPolled() {
  for (RoleQueue** link = &first_queue; *link != nullptr;) {
    RoleQueue* queue = *link;
    queue->forgotten = PolledCount(*queue);
    if (queue->pending.give_back)
      queue->pending.forget = true;
    else
      queue->records->ForgetRead();
    if (!queue->records->empty()) {
      link = &queue->next;
      continue;
    }
    // Its role may not subscribe again.
    *link = queue->next;
    queue->records->Destroy();
    pfree(queue);
  }
}

void GiveBackPolled(Oid role, uint64_t before) {
  RoleQueue* queue = FindQueue(role);
  if (queue == nullptr || before >= PolledCount(*queue)) return;
  queue->pending.give_back = true;
  queue->pending.kept = before > queue->forgotten ? before - queue->forgotten : 0;
  if (queue->sorted_behind_polled) queue->sort = true;
}

}  // namespace live_queries
