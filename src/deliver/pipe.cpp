// Writes notifications to the client, each once it is known whether more of its point follows.
// Process: client backend.
#include "deliver/pipe.hpp"

#include "deliver/lane_merge.hpp"
#include "deliver/throttle.hpp"
#include "model/message.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "registry/connection.hpp"

extern "C" {
#include "commands/async.h"
#include "mb/pg_wchar.h"
}

namespace live_queries {

Pipe notify_pipe;

namespace {

MemoryContext message_context = nullptr;  // reset after each message

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

void Notify(const SubscriptionId& id, const RecordView& record, SeqId seq, bool more) {
  StringInfoData text;
  initStringInfo(&text);
  StringInfoSink sink{&text};
  WriteMessage(sink, record, id.view(), seq, more);
  NotifyMyFrontEnd(MyConnectionIfAny()->channel, NeedsEscapes() ? EscapeNonAscii(text) : text.data,
                   MyProcPid);
}

// If it ereports, it has not: what was to be delivered is to come again.
void Deliver(const RecordView& record, bool held, bool more) {
  LIVE_QUERIES_FAULT("client-deliver");
  LocalSubscription* subscription = FindLocal(record.header.subscription_serial);
  if (subscription == nullptr) return;
  if (LIVE_QUERIES_MUTATION("never_more")) more = false;
  Point point = notify_pipe.point;
  const SeqId seq = point.Stamp(SeqId{record.header.seq});
  MemoryContext outer = MemoryContextSwitchTo(message_context);
  Notify(subscription->id, record, seq, more);
  MemoryContextSwitchTo(outer);
  MemoryContextReset(message_context);
  notify_pipe.point = point;
  subscription->delivered.Add(record.header, seq);
  NoteTold(*subscription);
  if (held) subscription->held->ForgetOldest(record.header);
  if (record.header.kind == RecordKind::kTerminated) subscription->over = true;
}

void Keep(const RecordView& record, bool held) {
  Kept* kept = &notify_pipe.kept[notify_pipe.count];
  kept->header = record.header;
  resetStringInfo(&kept->body);
  appendBinaryStringInfo(&kept->body, record.body.data(), static_cast<int>(record.body.size()));
  kept->held = held;
  ++notify_pipe.count;
}

void LetGo(bool more) {
  Pipe& pipe = notify_pipe;
  for (; pipe.first < pipe.count; ++pipe.first) {
    const Kept& kept = pipe.kept[pipe.first];
    Deliver({kept.header, View(kept.body)}, kept.held, more || pipe.first + 1 < pipe.count);
  }
  Forsake();
}

// Whether it ends what the subscription whose changes wait is told of their point.
bool StaysBehind(const RecordHeader& header) {
  const Pipe& pipe = notify_pipe;
  if (!pipe.waiting() || header.kind == RecordKind::kChanges || pipe.count == Pipe::kMost)
    return false;
  const RecordHeader& waiting = pipe.kept[pipe.first].header;
  return waiting.subscription_serial == header.subscription_serial &&
         pipe.point.IsFollowedBy(waiting, header);
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
    if (StaysBehind(next)) return;
    const bool follows = pipe.point.IsFollowedBy(pipe.kept[pipe.first].header, next);
    if (next.kind != RecordKind::kChanges && follows) return;
    LetGo(follows);
  }
  // It begins another point: up to where all is that was taken.
  if (next.seq > pipe.point.last().value) pipe.point.Reach(SeqId{CommonPoint()});
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
