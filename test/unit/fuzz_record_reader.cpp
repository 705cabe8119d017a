// Fuzz target: any bytes as a mailbox's content, read and written as messages.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "model/message.hpp"
#include "string_sink.hpp"

namespace {

// Changes are of one group with themselves and not with another one's; no message tells it.
void CheckGroup(const live_queries::RecordView& record, const std::string& told, bool more) {
  using namespace live_queries;
  RecordView other = record;
  other.header.group = record.header.group ^ GroupNumber(1, 1);
  const bool changes = record.header.kind == RecordKind::kChanges;
  if (AreOfOneGroup(record.header, record.header) != changes) std::abort();
  if (AreOfOneGroup(record.header, other.header)) std::abort();
  StringSink sink;
  WriteMessage(sink, other, other.body, SeqId{other.header.seq}, more);
  if (sink.text != told) std::abort();
}

// Some of which have their body elsewhere: it is the one of that number, or the record is corrupt.
void ReadNumbered(const uint8_t* data, size_t size) {
  using namespace live_queries;
  constexpr std::string_view kBodies[] = {"", "57014", "{\"op\":\"clear\"}"};
  RecordReader reader(std::as_bytes(std::span(data, size)));
  size_t end = 0;
  for (;;) {
    std::optional<std::string_view> found;
    const auto record = reader.Next([&](uint64_t number) {
      if (number < std::size(kBodies)) found = kBodies[number];
      return found;
    });
    if (!record) break;
    if (record->header.by_number != 0 || record->body.size() != record->header.body_bytes)
      std::abort();
    if (found && found->data() != record->body.data()) std::abort();
    end += found ? kNumberedRecordBytes : RecordBytes(record->header.body_bytes);
    if (reader.offset() != end || end > size) std::abort();
    StringSink sink;
    WriteMessage(sink, *record, record->body, SeqId{record->header.seq}, false);
  }
  if (!reader.corrupt() && end != size) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace live_queries;
  ReadNumbered(data, size);
  RecordReader reader(std::as_bytes(std::span(data, size)));
  size_t end = 0;
  while (const auto record = reader.Next()) {
    end += RecordBytes(record->header.body_bytes);
    if (reader.offset() != end || end > size) std::abort();
    StringSink sink;
    WriteMessage(sink, *record, record->body, SeqId{record->header.seq}, size % 2 == 0);
    if (!sink.text.starts_with("{\"type\":\"") || !sink.text.ends_with('}')) std::abort();
    CheckGroup(*record, sink.text, size % 2 == 0);
  }
  if (!reader.corrupt() && end != size) std::abort();
  if (reader.Next()) std::abort();
  return 0;
}
