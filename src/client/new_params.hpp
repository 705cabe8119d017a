// What live.set_params does beside beginning a live query (client/subscribing.cpp): the plan of the
// one that goes on, what its client keeps, and the messages that lead from its result to the new
// one. Process: client backend.
#pragma once

#include "client/result_difference.hpp"
#include "deliver/local_subscription.hpp"
#include "pg/postgres.hpp"
#include "query/plan.hpp"
#include "subscribers/definition_copy.hpp"

namespace live_queries {

// Raises 55000 unless the client of `subscription` has read its first result, and nothing of what
// followed is lost.
void RequireIntact(const LocalSubscription& subscription);

// Raises 0A000 if its messages are put together: what has not been told is not in its queue.
void RequireNoThrottle(const LocalSubscription& subscription);

// What `subscription` is registered with. Raises 55000 if it has ended.
DefinitionCopy DefinitionOf(const LocalSubscription& subscription);

// What of the client's session the query was found to depend on when it was subscribed to: that
// stays as it was, whatever its parameters are.
FrozenValues SessionValues(const DefinitionCopy& definition);

// Raises 0A000 if the query of `plan` asks the clock: at one position of the log its result is told
// at several times.
void RequireNoClock(const Plan& plan);

// The plan by which its consumer keeps `subscription` up to date. Raises 55000 if another one would
// be made of its query by now, so that its messages are about to end; 0A000 if it asks the clock.
Plan PlanOf(const LocalSubscription& subscription, const DefinitionCopy& definition);

// Raises 0A000 unless what the client was told of the columns and the key holds of `after`, too.
void RequireSameColumns(const Plan& before, const Plan& after);

// Puts in front of what waits for `subscription` what waits for `former`, as far as the snapshot of
// `subscription` shows it, and then the difference. All that committed up to that snapshot has been
// taken from the mailbox. `former` keeps what it has if a rollback may return to it. Raises 55000
// if one of the two has lost anything meanwhile, or 54000 if there is no room.
void GoOnFrom(LocalSubscription* former, LocalSubscription* subscription,
              ResultDifference* difference);

}  // namespace live_queries
