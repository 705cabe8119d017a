// Writes a message as JSON and sends it: as a notification on this connection's own channel, or
// into the queue of live.poll. Process: client backend.
#include "deliver/pipe.hpp"

#include "deliver/poll_queue.hpp"
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
Pipe poll_pipe;

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

void Send(const SubscriptionId& id, const RecordView& record, SeqId seq, bool more) {
  StringInfoData text;
  initStringInfo(&text);
  StringInfoSink sink{&text};
  WriteMessage(sink, record, id.view(), seq, more);
  NotifyMyFrontEnd(MyConnectionIfAny()->channel, NeedsEscapes() ? EscapeNonAscii(text) : text.data,
                   MyProcPid);
}

}  // namespace

void PreparePipes() {
  if (message_context != nullptr) return;
  MemoryContext context =
      AllocSetContextCreate(TopMemoryContext, "live_queries delivery", ALLOCSET_DEFAULT_SIZES);
  InMemoryContext(context, [&] {
    initStringInfo(&notify_pipe.body);
    initStringInfo(&poll_pipe.body);
  });
  notify_pipe.delivery = Delivery::kNotify;
  poll_pipe.delivery = Delivery::kPoll;
  message_context = AllocSetContextCreate(context, "live_queries message", ALLOCSET_DEFAULT_SIZES);
}

Pipe* PipeOf(const LocalSubscription& subscription) {
  return subscription.delivery == Delivery::kNotify ? &notify_pipe : &poll_pipe;
}

void Deliver(Pipe* pipe, const RecordView& record, bool more) {
  LIVE_QUERIES_FAULT("client-deliver");
  LocalSubscription* subscription = FindLocal(record.header.subscription_serial);
  if (subscription == nullptr) return;
  const SeqId seq = pipe->clock.Stamp(SeqId{record.header.seq});
  if (LIVE_QUERIES_MUTATION("never_more")) more = false;
  MemoryContext outer = MemoryContextSwitchTo(message_context);
  if (pipe->delivery == Delivery::kNotify)
    Send(subscription->id, record, seq, more);
  else
    QueueForPoll(*subscription, record, seq, more);
  MemoryContextSwitchTo(outer);
  MemoryContextReset(message_context);
  ++subscription->delivered_messages;
  subscription->delivered_changes += record.header.change_count;
  subscription->delivered_resets += record.header.kind == RecordKind::kReset ? 1 : 0;
  subscription->delivered_seq = seq.value;
  if (record.header.kind == RecordKind::kTerminated) subscription->over = true;
}

void Keep(Pipe* pipe, const RecordView& record) {
  pipe->header = record.header;
  resetStringInfo(&pipe->body);
  appendBinaryStringInfo(&pipe->body, record.body.data(), static_cast<int>(record.body.size()));
  pipe->waiting = true;
}

void Flush(Pipe* pipe, bool more) {
  if (!pipe->waiting) return;
  Deliver(pipe, {pipe->header, View(pipe->body)}, more);
  pipe->waiting = false;
}

void FlushBoth() {
  Flush(&notify_pipe, false);
  Flush(&poll_pipe, false);
}

SeqId StampPosition(SeqId seq) {
  poll_pipe.clock.Stamp(seq);
  return notify_pipe.clock.Stamp(seq);
}

}  // namespace live_queries
