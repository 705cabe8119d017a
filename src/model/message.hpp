// The messages that clients receive: one JSON object each.
//
// Owns: the JSON that README.md promises, written from a mailbox record. The decoder writes the
// single changes (WriteInsert...), the client backend the message around them (WriteMessage). Pure.
#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "model/json_text.hpp"
#include "model/mailbox_record.hpp"
#include "model/seq_id.hpp"
#include "model/utc_timestamp.hpp"

namespace live_queries {

// A record's body is closed once it is this long; the transaction goes on in the next one.
inline constexpr size_t kMessageSplitBytes = size_t{256} * 1024;

// The single changes of a kChanges body, without separator. Keys and rows are JSON already: `key`
// an array, `row` and `old` objects.

namespace internal {

template <TextSink S>
void WriteKeyedChange(S& sink, std::string_view op, std::string_view key_json,
                      std::string_view row_json, std::string_view old_json, int64_t position) {
  sink.Append(std::string_view("{\"op\":\""));
  sink.Append(op);
  sink.Append(std::string_view("\",\"key\":"));
  sink.Append(key_json);
  sink.Append(std::string_view(",\"row\":"));
  sink.Append(row_json);
  if (!old_json.empty()) {
    sink.Append(std::string_view(",\"old\":"));
    sink.Append(old_json);
  }
  if (position >= 0) {
    std::array<char, 20> digits;  // of 2^63 - 1
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), position).ptr;
    sink.Append(std::string_view(",\"position\":"));
    sink.Append(std::string_view(digits.data(), static_cast<size_t>(end - digits.data())));
  }
  sink.Append(std::string_view("}"));
}

}  // namespace internal

// `position`: where the row stands in a result that is a list; negative: it is none.
template <TextSink S>
void WriteInsert(S& sink, std::string_view key_json, std::string_view row_json,
                 int64_t position = -1) {
  internal::WriteKeyedChange(sink, "insert", key_json, row_json, {}, position);
}

// `old_json` holds the changed columns' former values; if it is empty, the change has no such
// field.
template <TextSink S>
void WriteUpdate(S& sink, std::string_view key_json, std::string_view row_json,
                 std::string_view old_json, int64_t position = -1) {
  internal::WriteKeyedChange(sink, "update", key_json, row_json, old_json, position);
}

template <TextSink S>
void WriteDelete(S& sink, std::string_view key_json, std::string_view row_json) {
  internal::WriteKeyedChange(sink, "delete", key_json, row_json, {}, -1);
}

// All rows of the result left at once.
template <TextSink S>
void WriteClear(S& sink) {
  sink.Append(std::string_view("{\"op\":\"clear\"}"));
}

namespace internal {

// `"subscription_id":"..."`, or `"subscription_ids":["...","..."]`.
template <TextSink S>
void WriteReceivers(S& sink, std::span<const std::string_view> subscription_ids) {
  if (subscription_ids.size() == 1) {
    sink.Append(std::string_view("\"subscription_id\":"));
    return EscapeJson(sink, subscription_ids.front());
  }
  std::string_view before = "\"subscription_ids\":[";
  for (const std::string_view id : subscription_ids) {
    sink.Append(before);
    EscapeJson(sink, id);
    before = ",";
  }
  sink.Append(std::string_view("]"));
}

// `{"type":"...","subscription_id":"...","seq":"..."`, with which every message begins.
template <TextSink S>
void WriteMessageStart(S& sink, std::string_view type,
                       std::span<const std::string_view> subscription_ids, SeqId seq) {
  std::array<char, kSeqIdDigits> digits;
  sink.Append(std::string_view("{\"type\":\""));
  sink.Append(type);
  sink.Append(std::string_view("\","));
  WriteReceivers(sink, subscription_ids);
  sink.Append(std::string_view(",\"seq\":\""));
  sink.Append(FormatSeqId(seq, digits));
  sink.Append(std::string_view("\""));
}

template <TextSink S>
void WriteStringField(S& sink, std::string_view name, std::string_view value) {
  sink.Append(std::string_view(",\""));
  sink.Append(name);
  sink.Append(std::string_view("\":"));
  EscapeJson(sink, value);
}

// 0: null.
template <TextSink S>
void WriteXidField(S& sink, uint32_t xid) {
  sink.Append(std::string_view(",\"xid\":"));
  if (xid == 0) return sink.Append(std::string_view("null"));
  std::array<char, 10> digits;  // of 2^32 - 1
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), xid).ptr;
  sink.Append(std::string_view(digits.data(), static_cast<size_t>(end - digits.data())));
}

template <TextSink S>
void WriteChangesFields(S& sink, const RecordView& record, bool more) {
  TimestampBuffer committed_at;
  const std::string_view xids(record.body.data(), record.header.xids_bytes);
  WriteXidField(sink, record.header.xid);
  if (!xids.empty()) {
    sink.Append(std::string_view(",\"xids\":["));
    sink.Append(xids);
    sink.Append(std::string_view("]"));
  }
  sink.Append(std::string_view(",\"committed_at\":\""));
  sink.Append(FormatTimestamp(record.header.committed_at, committed_at));
  sink.Append(std::string_view("\",\"changes\":["));
  sink.Append(std::string_view(xids.data() + xids.size(), record.body.size() - xids.size()));
  sink.Append(more ? std::string_view("],\"more\":true") : std::string_view("],\"more\":false"));
}

template <TextSink S>
void WriteTerminatedFields(S& sink, std::string_view body) {
  const size_t code_bytes = body.size() < kSqlStateBytes ? body.size() : kSqlStateBytes;
  WriteStringField(sink, "code", std::string_view(body.data(), code_bytes));
  body.remove_prefix(code_bytes);
  WriteStringField(sink, "reason", body);
}

}  // namespace internal

// Writes the whole message of `record`, which a RecordReader has accepted. `seq` is the stamped one
// (SeqClock), not the record's; `more` matters for changes only. It is told to all of these
// subscriptions, at least one.
template <TextSink S>
void WriteMessage(S& sink, const RecordView& record,
                  std::span<const std::string_view> subscription_ids, SeqId seq, bool more) {
  switch (record.header.kind) {
    case RecordKind::kChanges:
      internal::WriteMessageStart(sink, "changes", subscription_ids, seq);
      internal::WriteChangesFields(sink, record, more);
      break;
    case RecordKind::kReset:
      internal::WriteMessageStart(sink, "reset", subscription_ids, seq);
      internal::WriteStringField(sink, "reason", record.body);
      break;
    case RecordKind::kTerminated:
      internal::WriteMessageStart(sink, "terminated", subscription_ids, seq);
      internal::WriteTerminatedFields(sink, record.body);
      break;
  }
  sink.Append(std::string_view("}"));
}

template <TextSink S>
void WriteMessage(S& sink, const RecordView& record, std::string_view subscription_id, SeqId seq,
                  bool more) {
  WriteMessage(sink, record, std::span(&subscription_id, 1), seq, more);
}

// Writes a message that everything up to `seq` has been told. `snapshot`: which transactions are in
// that, in the text form of pg_snapshot.
template <TextSink S>
void WriteProgress(S& sink, SeqId seq, std::string_view snapshot) {
  std::array<char, kSeqIdDigits> digits;
  sink.Append(std::string_view("{\"type\":\"progress\",\"seq\":\""));
  sink.Append(FormatSeqId(seq, digits));
  sink.Append(std::string_view("\",\"snapshot\":\""));
  sink.Append(snapshot);
  sink.Append(std::string_view("\"}"));
}

}  // namespace live_queries
