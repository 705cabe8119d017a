// Fuzz target: any bytes as a mailbox's content, read and written as messages.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "model/message.hpp"
#include "string_sink.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace live_queries;
  RecordReader reader(std::as_bytes(std::span(data, size)));
  size_t end = 0;
  while (const auto record = reader.Next()) {
    end += RecordBytes(record->header.body_bytes);
    if (reader.offset() != end || end > size) std::abort();
    StringSink sink;
    WriteMessage(sink, *record, record->body, SeqId{record->header.seq}, size % 2 == 0);
    if (!sink.text.starts_with("{\"type\":\"") || !sink.text.ends_with('}')) std::abort();
  }
  if (!reader.corrupt() && end != size) std::abort();
  if (reader.Next()) std::abort();
  return 0;
}
