// Writes notifications to the client, each once it is known whether more of its point follows.
// Process: client backend.
#include "deliver/pipe.hpp"

#include <algorithm>
#include <span>

#include "deliver/lane_merge.hpp"
#include "deliver/throttle.hpp"
#include "model/message.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "pg/settings.hpp"
#include "registry/connection.hpp"

extern "C" {
#include "commands/async.h"
#include "mb/pg_wchar.h"
}

namespace live_queries {

Pipe notify_pipe;

namespace {

MemoryContext message_context = nullptr;  // reset after each message

// So many more may share a message. Whether one does already is looked for among all.
constexpr int kMostOthers = 999;

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

std::span<const uint64_t> Others(const Kept& kept) {
  return {kept.others, static_cast<size_t>(kept.other_count)};
}

bool Shares(const Kept& kept, uint64_t serial) {
  const auto others = Others(kept);
  return kept.header.subscription_serial == serial ||
         std::find(others.begin(), others.end(), serial) != others.end();
}

// Those that are told of a record, as a list in CurrentMemoryContext.
List* Receivers(uint64_t serial, std::span<const uint64_t> others) {
  List* receivers = NIL;
  if (LocalSubscription* one = FindLocal(serial)) receivers = lappend(receivers, one);
  for (const uint64_t other : others)
    if (LocalSubscription* one = FindLocal(other)) receivers = lappend(receivers, one);
  return receivers;
}

void Notify(const List* receivers, const RecordView& record, SeqId seq, bool more) {
  auto* ids = static_cast<std::string_view*>(
      palloc(sizeof(std::string_view) * static_cast<size_t>(list_length(receivers))));
  size_t count = 0;
  ListCell* cell;
  foreach (cell, receivers) ids[count++] = static_cast<LocalSubscription*>(lfirst(cell))->id.view();
  StringInfoData text;
  initStringInfo(&text);
  StringInfoSink sink{&text};
  WriteMessage(sink, record, std::span<const std::string_view>(ids, count), seq, more);
  NotifyMyFrontEnd(MyConnectionIfAny()->channel, NeedsEscapes() ? EscapeNonAscii(text) : text.data,
                   MyProcPid);
}

void NoteDelivered(LocalSubscription* subscription, const RecordHeader& header, SeqId seq,
                   bool held) {
  subscription->delivered.Add(header, seq);
  NoteTold(*subscription);
  if (held) subscription->held->ForgetOldest(header);
  if (header.kind == RecordKind::kTerminated) subscription->over = true;
}

// If it ereports, it has not: what was to be delivered is to come again.
void Deliver(const RecordView& record, bool held, bool more,
             std::span<const uint64_t> others = {}) {
  LIVE_QUERIES_FAULT("client-deliver");
  MemoryContext outer = MemoryContextSwitchTo(message_context);
  const List* receivers = Receivers(record.header.subscription_serial, others);
  if (receivers != NIL) {
    if (LIVE_QUERIES_MUTATION("never_more")) more = false;
    Point point = notify_pipe.point;
    const SeqId seq = point.Stamp(SeqId{record.header.seq});
    Notify(receivers, record, seq, more);
    notify_pipe.point = point;
    ListCell* cell;
    foreach (cell, receivers)
      NoteDelivered(static_cast<LocalSubscription*>(lfirst(cell)), record.header, seq, held);
  }
  MemoryContextSwitchTo(outer);
  MemoryContextReset(message_context);
}

void Keep(const RecordView& record, bool held) {
  Kept* kept = &notify_pipe.kept[notify_pipe.count];
  kept->header = record.header;
  resetStringInfo(&kept->body);
  appendBinaryStringInfo(&kept->body, record.body.data(), static_cast<int>(record.body.size()));
  kept->held = held;
  kept->other_count = 0;
  ++notify_pipe.count;
}

void LetGo(bool more) {
  Pipe& pipe = notify_pipe;
  for (; pipe.first < pipe.count; ++pipe.first) {
    const Kept& kept = pipe.kept[pipe.first];
    Deliver({kept.header, View(kept.body)}, kept.held, more || pipe.first + 1 < pipe.count,
            Others(kept));
  }
  Forsake();
}

// Whether it ends what the subscription whose changes wait is told of their point.
bool StaysBehind(const RecordHeader& header) {
  const Pipe& pipe = notify_pipe;
  if (!pipe.waiting() || header.kind == RecordKind::kChanges || pipe.count == Pipe::kMost)
    return false;
  const Kept& waiting = pipe.kept[pipe.first];
  return waiting.other_count == 0 &&
         waiting.header.subscription_serial == header.subscription_serial &&
         pipe.point.IsFollowedBy(waiting.header, header);
}

// Lets go of what waits for one of those that share it, which is reset or ends before its point
// does.
void SplitOff(uint64_t serial) {
  Kept* kept = &notify_pipe.kept[notify_pipe.first];
  for (uint64_t& other : std::span(kept->others, static_cast<size_t>(kept->other_count)))
    if (other == serial) std::swap(other, kept->header.subscription_serial);
  if (kept->header.subscription_serial != serial) return;
  Deliver({kept->header, View(kept->body)}, false, true);
  kept->header.subscription_serial = kept->others[--kept->other_count];
}

}  // namespace

void PreparePipe() {
  if (message_context != nullptr) return;
  MemoryContext context =
      AllocSetContextCreate(TopMemoryContext, "live_queries delivery", ALLOCSET_DEFAULT_SIZES);
  InMemoryContext(context, [] {
    for (Kept& kept : notify_pipe.kept) initStringInfo(&kept.body);
  });
  message_context = AllocSetContextCreate(context, "live_queries message", ALLOCSET_DEFAULT_SIZES);
}

// A reset or termination has no `more`. It passes the changes that wait, if it belongs to their
// point: with the last of them all show one point in time, or their clients know that they do not.
void Announce(const RecordHeader& next) {
  Pipe& pipe = notify_pipe;
  if (pipe.waiting()) {
    const Kept& waiting = pipe.kept[pipe.first];
    if (waiting.other_count > 0 && next.kind != RecordKind::kChanges &&
        pipe.point.IsFollowedBy(waiting.header, next))
      SplitOff(next.subscription_serial);
    if (StaysBehind(next)) return;
    const bool follows = pipe.point.IsFollowedBy(pipe.kept[pipe.first].header, next);
    if (next.kind != RecordKind::kChanges && follows) return;
    LetGo(follows);
  }
  // It begins another point: up to where all is that was taken.
  if (next.seq > pipe.point.last().value) pipe.point.Reach(SeqId{CommonPoint()});
}

bool Share(const RecordView& next) {
  Pipe& pipe = notify_pipe;
  if (!share_messages || pipe.count != pipe.first + 1) return false;
  Kept* kept = &pipe.kept[pipe.first];
  // What is longer is a part of much: to compare it costs more than it may save.
  if (kept->held || kept->other_count == kMostOthers || next.body.size() >= kMessageSplitBytes)
    return false;
  if (!TellTheSame({kept->header, View(kept->body)}, next) &&
      !LIVE_QUERIES_MUTATION("share_anything"))
    return false;
  // Parts of one live query may look the same.
  if (Shares(*kept, next.header.subscription_serial)) return false;
  if (kept->other_count == kept->other_capacity) {
    const int capacity = std::max(8, kept->other_capacity * 2);
    const size_t bytes = sizeof(uint64_t) * static_cast<size_t>(capacity);
    void* others = kept->others == nullptr ? MemoryContextAlloc(TopMemoryContext, bytes)
                                           : repalloc(kept->others, bytes);
    kept->others = static_cast<uint64_t*>(others);
    kept->other_capacity = capacity;
  }
  kept->others[kept->other_count++] = next.header.subscription_serial;
  return true;
}

bool TakeOut(Kept* kept, bool (*take)(const RecordView& record)) {
  for (int i = kept->other_count; i-- > 0;) {
    RecordView record = {kept->header, View(kept->body)};
    record.header.subscription_serial = kept->others[i];
    if (take(record)) kept->others[i] = kept->others[--kept->other_count];
  }
  if (!take({kept->header, View(kept->body)})) return true;
  if (kept->other_count == 0) return false;
  kept->header.subscription_serial = kept->others[--kept->other_count];
  return true;
}

void Send(const RecordView& record, bool held) {
  if (record.header.kind == RecordKind::kChanges || StaysBehind(record.header))
    Keep(record, held);
  else
    Deliver(record, held, false);
}

void EndPointBefore(uint64_t seq) {
  const Pipe& pipe = notify_pipe;
  if (!pipe.waiting()) return;
  if (seq > std::max(pipe.point.last().value, pipe.kept[pipe.first].header.seq)) LetGo(false);
}

void Flush() { LetGo(false); }

void Forsake() { notify_pipe.first = notify_pipe.count = 0; }

}  // namespace live_queries
