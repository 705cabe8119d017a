// Copies a definition under the connection's lock, if the subscription is still there. Process:
// decoder.
#include "subscribers/definition_copy.hpp"

namespace live_queries {

bool CopyDefinition(int connection, uint64_t serial, DefinitionCopy* definition) {
  auto copy = [&](const SubscriptionShared* subscription) {
    if (subscription->status == SubscriptionStatus::kTerminated) return false;
    const DefinitionShared& source = subscription->definition;
    CopyTexts(source, static_cast<char*>(palloc(TextBytes(source))), definition->fields);
    definition->role = subscription->role;
    definition->analysed_at = subscription->analysed_at;
    definition->values_here = subscription->values_here;
    definition->sent_back = subscription->sent_back;
    definition->session = subscription->session;
    definition->strategy = subscription->strategy;
    definition->phase = subscription->phase;
    return true;
  };
  return WithSubscription(*ConnectionAt(connection), serial, LW_SHARED, copy);
}

}  // namespace live_queries
