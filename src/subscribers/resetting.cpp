// Does both sides of it: what the client is told, by registry/ending.hpp, and what becomes of the
// subscriber here. Finds those who are to blame for a failure. Process: decoder.
#include "subscribers/resetting.hpp"

#include "pg/fault.hpp"
#include "registry/consumer.hpp"
#include "registry/ending.hpp"
#include "registry/kept_problem.hpp"
#include "subscribers/mirror.hpp"

namespace live_queries {
namespace {

// Those that the running batch resets.
Subscriber* first_with_batch = nullptr;

ConnectionShared* ConnectionOf(const Subscriber& subscriber) {
  return ConnectionAt(subscriber.connection->index);
}

List* ThoseToBlame(const Blame& blame) {
  if (blame.routes.empty()) return SubscribersOf(blame.owner);
  List* subscribers = NIL;
  for (const Route* route : blame.routes)
    subscribers = list_concat(subscribers, SubscribersOf(*route));
  return subscribers;
}

// What a new first result gets over: so much has changed at once, or may have, or so many watch.
bool IsTooMuch(const GuardFailure& failure) {
  const bool may_be_much = failure.blame.doing == Doing::kCatchingUp || IsLookingUp(failure.blame);
  if (may_be_much && failure.timed_out) return true;
  return failure.blame.owner->spec.query != nullptr &&
         failure.sqlstate == ERRCODE_PROGRAM_LIMIT_EXCEEDED;
}

// Whether an error depends on values of rows.
bool IsOfRows(int sqlstate) {
  const int category = ERRCODE_TO_CATEGORY(sqlstate);
  return category == ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) ||
         category == ERRCODE_TO_CATEGORY(ERRCODE_CARDINALITY_VIOLATION) ||
         category == ERRCODE_TO_CATEGORY(ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION) ||
         category == ERRCODE_TO_CATEGORY(ERRCODE_PLPGSQL_ERROR);
}

// Those that differ in parameters are evaluated together: the row of the error may be one that the
// query of one of them does not ask for. A new first result asks for its own rows alone.
bool MayBeOfOthers(const GuardFailure& failure) {
  const QuerySpec& spec = failure.blame.owner->spec;
  return failure.blame.routes.empty() && spec.query != nullptr && spec.routing_conditions != NIL &&
         failure.blame.doing != Doing::kAttaching && !failure.timed_out &&
         IsOfRows(failure.sqlstate);
}

constexpr const char* kOfOthersReason =
    "evaluating the query for all parameters that are watched has failed";

}  // namespace

void ResetNow(Subscriber* subscriber, const char* reason) {
  if (subscriber->muted) return;
  Mute(subscriber);
  LIVE_QUERIES_FAULT("decoder-reset");
  ResetSubscription(ConnectionOf(*subscriber), subscriber->serial, reason);
}

void Terminate(Subscriber* subscriber, int sqlstate, const char* reason) {
  LIVE_QUERIES_FAULT("decoder-terminate");
  ProblemShared problem;
  problem.Set(sqlstate, reason, nullptr);
  problem.may_quote_rows = true;
  (void)TerminateSubscription(ConnectionOf(*subscriber), subscriber->serial, problem);
  RemoveSubscriber(subscriber);
}

void EndThoseToBlame(const GuardFailure& failure) {
  ListCell* cell;
  foreach (cell, ThoseToBlame(failure.blame)) {
    Subscriber* subscriber = static_cast<Subscriber*>(lfirst(cell));
    if (IsTooMuch(failure))
      ResetNow(subscriber, failure.reason);
    else if (MayBeOfOthers(failure))
      ResetNow(subscriber, kOfOthersReason);
    else if (failure.blame.doing == Doing::kFetching)
      ResetNow(subscriber, "a large value that an update left in place is gone already");
    else
      Terminate(subscriber, failure.sqlstate, failure.reason);
  }
}

void EndThoseToBlameAtExit(const GuardFailure& failure) {
  List* subscribers = ThoseToBlame(failure.blame);
  ereport(
      LOG,
      errmsg("live_queries decoder ends, and %d live queries with it", list_length(subscribers)),
      errdetail_internal("%s", failure.reason));
  ProblemShared problem;
  problem.Set(failure.sqlstate, failure.reason, nullptr);
  ListCell* cell;
  foreach (cell, subscribers) {
    const Subscriber& subscriber = *static_cast<Subscriber*>(lfirst(cell));
    (void)TerminateSubscription(ConnectionOf(subscriber), subscriber.serial, problem);
  }
}

void Refuse(int connection, uint64_t serial, int sqlstate, const char* reason, const char* hint) {
  ConnectionShared* shared = ConnectionAt(connection);
  ProblemShared problem;
  problem.Set(sqlstate, reason, hint);
  const bool waits =
      WithSubscription(*shared, serial, LW_EXCLUSIVE, [&](SubscriptionShared* subscription) {
        if (subscription->phase == Phase::kAttached) return false;
        PrepareProblem(shared, &subscription->problem);
        subscription->phase = Phase::kFailed;
        KeepProblem(&subscription->problem, problem);
        return true;
      });
  if (waits)
    ConditionVariableBroadcast(&MyConsumer()->progress);
  else
    (void)TerminateSubscription(shared, serial, problem);
}

void AskToSubscribeAgain(Subscriber* subscriber, uint64_t values_here) {
  (void)WithSubscription(*ConnectionOf(*subscriber), subscriber->serial, LW_EXCLUSIVE,
                         [&](SubscriptionShared* subscription) {
                           if (subscription->phase != Phase::kRegistered) return false;
                           subscription->phase = Phase::kOutdated;
                           subscription->values_here = values_here;
                           return true;
                         });
  RemoveSubscriber(subscriber);
  ConditionVariableBroadcast(&MyConsumer()->progress);
}

void MuteWithBatch(Subscriber* subscriber) {
  Mute(subscriber);
  subscriber->next_with_batch = first_with_batch;
  first_with_batch = subscriber;
}

void KeepBatchResets() { first_with_batch = nullptr; }

void UndoBatchResets() {
  for (; first_with_batch != nullptr; first_with_batch = first_with_batch->next_with_batch)
    Unmute(first_with_batch);
}

}  // namespace live_queries
