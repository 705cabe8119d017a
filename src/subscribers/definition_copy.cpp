// Copies a definition under the connection's lock, if the subscription is still there. Process:
// decoder.
#include "subscribers/definition_copy.hpp"

namespace live_queries {

bool CopyDefinition(int connection, uint64_t serial, DefinitionCopy* definition) {
  auto copy = [&](const SubscriptionShared* subscription) {
    if (subscription->status == SubscriptionStatus::kTerminated) return false;
    const DefinitionShared* source = FromArea<DefinitionShared>(subscription->definition);
    char* data = static_cast<char*>(palloc(source->bytes()));
    CopyDefinitionData(*source, data);
    for (int i = 0; i < kDefinitionFields; ++i) definition->fields[i] = data + source->offsets[i];
    definition->role = subscription->role;
    definition->analysed_at = subscription->analysed_at;
    definition->values_here = subscription->values_here;
    definition->session = subscription->session;
    definition->strategy = subscription->strategy;
    definition->phase = subscription->phase;
    return true;
  };
  return WithSubscription(*ConnectionAt(connection), serial, LW_SHARED, copy);
}

}  // namespace live_queries
