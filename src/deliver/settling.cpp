// What is asked here is all that delivery and the end of a transaction ask of those that stir.
// Process: client backend.
#include "deliver/settling.hpp"

#include "deliver/lane_merge.hpp"
#include "deliver/local_subscription.hpp"
#include "deliver/throttle.hpp"

namespace live_queries {
namespace {

bool IsCounted(const LocalSubscription& one) {
  return one.taken_messages == 0 && one.delivered.messages == 0 && one.waiting.messages == 0;
}

bool HasSettled(const LocalSubscription& one) {
  const FlowControl& flow = one.flow;
  return flow.IsFlowing() && !flow.IsOwedAReset() &&
         flow.status() != SubscriptionStatus::kTerminated && !one.over && one.held->empty() &&
         GatheredFrom(one) == UINT64_MAX && one.first.cursor[0] == '\0' && IsCounted(one);
}

}  // namespace

void Settle() {
  for (size_t i = Stirring().size(); i-- > 0;) {
    LocalSubscription* one = Stirring()[i];
    if (!HasSettled(*one)) continue;
    if (IsShown(*one)) NoteShown(one->delivery, one->bound.lsn);
    LieStill(one);
  }
}

}  // namespace live_queries
