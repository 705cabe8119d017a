// Not a test to run but to link against nothing: all of src/model, used as server code uses it. The
// Makefile checks that the object needs no C++ runtime, neither optimized nor not.
#include "model/delivery.hpp"
#include "model/flow_control.hpp"
#include "model/identifiers.hpp"
#include "model/interval_index.hpp"
#include "model/message.hpp"
#include "model/strategy.hpp"
#include "model/subscription_status.hpp"

namespace {

using namespace live_queries;

struct FixedSink {
  char bytes[1024];
  size_t size;

  void Append(std::string_view text) {
    for (const char c : text)
      if (size < sizeof bytes) bytes[size++] = c;
  }
};

struct Weighed : Interval<size_t> {
  size_t weight;
};

}  // namespace

// Calls everything; the arguments keep the compiler from knowing the answers.
extern "C" size_t UseModel(const char* text, size_t size, FixedSink* sink, FlowControl* flow,
                           IntervalIndex<Weighed>* intervals, Weighed* interval,
                           IntervalBlock<size_t>* block) {
  const std::string_view input(text, size);
  std::array<char, kMaxLiveIdBytes> buffer;
  if (const auto id = SubscriptionId::Parse(input)) {
    const LiveId live_id{input, {size}, *id};
    sink->Append({buffer.data(), FormatLiveId(live_id, buffer)});
  }
  const std::array<uint8_t, kChannelRandomBytes> random{};
  size_t sum = FormatChannel(random, buffer);
  if (const auto seq = ParseSeqId(input)) sum += seq->value;
  if (const auto status = ParseSubscriptionStatus(input))
    sum += IsValidTransition(*status, SubscriptionStatus::kActive);
  if (const auto delivery = ParseDelivery(input)) sum += ToText(*delivery).size();
  sum += ToText(static_cast<Strategy>(size)).size();

  HeldBudget budget{size};
  Point point;
  RecordReader reader(std::as_bytes(std::span(text, size)));
  while (const auto record = reader.Next()) {
    if (flow->Decide(record->header, size > 9) == Verdict::kHold && !budget.Admits(size))
      sum += static_cast<size_t>(flow->OnHeldOverflow());
    WriteMessage(*sink, *record, input, point.Stamp(SeqId{record->header.seq}), size > 7);
  }
  sum += static_cast<size_t>(flow->OnSnapshotStarted()) + flow->CanRelease();
  WriteInsert(*sink, input, input);
  WriteUpdate(*sink, input, input, input);
  WriteDelete(*sink, input, input);
  WriteClear(*sink);

  const auto compare = [](size_t a, size_t b) { return a < b ? -1 : static_cast<int>(a > b); };
  intervals->Insert(interval, compare, [&] { return block; });
  intervals->ForEachContaining(size, size, compare, [&](const Weighed& hit) { sum += hit.weight; });
  intervals->Remove(interval, [&](IntervalBlock<size_t>* freed) { sum += freed == block; });
  return sum;
}
