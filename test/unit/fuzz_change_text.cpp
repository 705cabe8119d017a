// Fuzz target: any bytes as the changes of a message. What is accepted reads the same when it is
// written again, and rows are taken apart without a byte from beyond.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "model/change_text.hpp"
#include "model/message.hpp"
#include "string_sink.hpp"

namespace {

using live_queries::ChangeText;

void Write(StringSink& sink, const ChangeText& change) {
  switch (change.op) {
    case ChangeText::Op::kInsert:
      return live_queries::WriteInsert(sink, change.key, change.row);
    case ChangeText::Op::kUpdate:
      return live_queries::WriteUpdate(sink, change.key, change.row, change.old);
    case ChangeText::Op::kDelete:
      return live_queries::WriteDelete(sink, change.key, change.row);
    case ChangeText::Op::kClear:
      return live_queries::WriteClear(sink);
  }
}

void CheckRow(std::string_view row, std::string_view old) {
  live_queries::MemberReader members(row);
  while (const auto member = members.Next())
    if (member->name.size() + 1 + member->value.size() != member->whole.size()) std::abort();
  StringSink same;
  if (live_queries::WriteOldMembers(same, row, row) || same.text != "{}") std::abort();
  StringSink before;
  live_queries::WriteRowBefore(before, row, old);
  if (!before.text.starts_with('{') || !before.text.ends_with('}')) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  live_queries::ChangeReader reader({reinterpret_cast<const char*>(data), size});
  while (const auto change = reader.Next()) {
    CheckRow(change->row, change->old);
    StringSink sink;
    Write(sink, *change);
    live_queries::ChangeReader again(sink.text);
    const auto same = again.Next();
    if (!same || same->op != change->op || same->key != change->key || same->row != change->row ||
        same->old != (change->op == ChangeText::Op::kUpdate ? change->old : std::string_view()))
      std::abort();
  }
  if (reader.Next()) std::abort();
  return 0;
}
