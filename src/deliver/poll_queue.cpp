// Queues, sorts and hands out. Process: client backend.
#include "deliver/poll_queue.hpp"

#include "deliver/record_queue.hpp"
#include "model/message.hpp"

namespace live_queries {
namespace {

RecordQueue* poll_queue = nullptr;
bool sort_queue = false;  // subscriptions have ended or paused since it was filled

// In a queued record's flags: more of its transaction follows.
constexpr uint8_t kMoreFlag = 1;

void Prepare() {
  if (poll_queue == nullptr) poll_queue = RecordQueue::Create(TopMemoryContext);
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
    // It has no part in `more`, and stands before the message that waits, as when it came.
    if (record.header.kind == RecordKind::kReset && waiting && record.header.seq == header.seq) {
      to->Append(record.header, record.body);
      return;
    }
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
void Sort(const UnwantedTermination& unwanted,
          void (*hold)(LocalSubscription*, const RecordView&)) {
  sort_queue = false;
  const uint64_t polled = poll_queue->read_count();
  poll_queue->Rewind();
  LateCopy copy = {RecordQueue::Create(TopMemoryContext), {}, {}, false};
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
    hold(subscription, record);
  }
  copy.Finish(0);
  poll_queue->Destroy();
  poll_queue = copy.to;
  for (uint64_t i = 0; i < polled; ++i) (void)poll_queue->Read(&record);
  pfree(copy.body.data);
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

void ForgetTerminations(const SubscriptionId* id,
                        void (*hold)(LocalSubscription*, const RecordView&)) {
  if (poll_queue == nullptr || poll_queue->unread() == 0) return;
  Sort({id == nullptr, id == nullptr ? SubscriptionId() : *id}, hold);
}

void SortPollQueue(void (*hold)(LocalSubscription*, const RecordView&)) {
  if (sort_queue) Sort({}, hold);
}

size_t PollQueueBytes() { return poll_queue == nullptr ? 0 : poll_queue->bytes(); }

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

}  // namespace live_queries
