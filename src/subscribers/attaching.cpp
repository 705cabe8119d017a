// The two steps of attaching: the subscription joins its route and is silent; when all that was
// decoded before is visible, it is woken. Process: decoder.
#include "subscribers/attaching.hpp"

#include "evaluate/delta_template.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "pg/subtransaction.hpp"
#include "registry/connection.hpp"
#include "registry/consumer.hpp"
#include "subscribers/definition_copy.hpp"
#include "subscribers/resetting.hpp"
#include "template/template_table.hpp"
#include "template/unchecked.hpp"

extern "C" {
#include "nodes/nodes.h"
#include "utils/snapmgr.h"
}

namespace live_queries {
namespace {

// A subscriber that sleeps.
struct Attachment {
  MirroredConnection* connection;
  uint64_t serial;
  XLogRecPtr begin;  // it wakes up once all that committed before is handled
};

// The client holds a lock already, and who waits for that one is waited for here in turn.
constexpr const char* kLockedReason =
    "a table of the live query is locked, or another session waits to lock it";
constexpr const char* kLockedHint = "Try again in another transaction.";

List* attachments = NIL;  // of Attachment, in TopMemoryContext

// Whose route is being looked for.
struct Attaching {
  int connection;
  uint64_t serial;
};

Attaching attaching = {};

// An error that one definition raises (a type is gone, a function of its author's fails) must not
// end the decoder, which would meet it again after its next start: nullptr.
Route* TryUseRoute(int connection, uint64_t serial, const DefinitionCopy& definition) {
  Route* route = nullptr;
  attaching = {connection, serial};
  InRolledBackSubtransaction(
      [&] {
        LIVE_QUERIES_FAULT("decoder-attach");
        // For the operators of the routing columns' types.
        PushActiveSnapshot(GetTransactionSnapshot());
        route = UseRoute(
            definition.role, definition.session, definition.Field(DefinitionField::kSettings),
            definition.Field(DefinitionField::kSpec), definition.Field(DefinitionField::kRoute));
        if (route->owner->spec.query != nullptr) PrepareDelta(route->owner);
        PopActiveSnapshot();
      },
      [&](ErrorData* error) {
        const GuardFailure failure = AbandonGuard(*error);
        if (TemplatesAreDamaged()) ReThrowError(error);
        if (route != nullptr && route->subscribers == nullptr) DropRoute(route);
        route = nullptr;
        if (failure.sqlstate == ERRCODE_LOCK_NOT_AVAILABLE)
          return Refuse(connection, serial, failure.sqlstate, kLockedReason, kLockedHint);
        Refuse(connection, serial, failure.sqlstate, failure.reason, error->hint);
      });
  return route;
}

// The subscriber that sleeps; nullptr if it has gone.
Subscriber* SleeperOf(const Attachment& attachment) {
  Subscriber* subscriber = SubscriberAt(*attachment.connection, SlotOfSerial(attachment.serial));
  return subscriber == nullptr || subscriber->serial != attachment.serial ? nullptr : subscriber;
}

// Whether it, or those who listen, are to be looked at first (definition_check.cpp). What it was
// analysed with may be newer than what they were: it must not be among them then, where one speaks
// for others. And if nobody listens yet, what it was analysed with may be what was before.
bool IsCheckedFirst(const Subscriber& subscriber) {
  // What its values are here is compared with what its client has found.
  if (subscriber.values != nullptr && subscriber.values->checked == 0) return true;
  return subscriber.route->owner->unchecked;
}

// Not before its time: what is not told yet, its client would not know of when it analyses again.
void SendBackIfOutdated(const Attachment& attachment, XLogRecPtr handled) {
  Subscriber* subscriber = attachment.begin > handled ? nullptr : SleeperOf(attachment);
  if (subscriber != nullptr && subscriber->outdated)
    AskToSubscribeAgain(subscriber, subscriber->values == nullptr ? 0 : subscriber->values->here);
}

bool IsReady(const Attachment& attachment, XLogRecPtr handled) {
  if (attachment.begin > handled) return false;
  const Subscriber* subscriber = SleeperOf(attachment);
  if (subscriber == nullptr) return true;
  if (IsCheckedFirst(*subscriber)) return false;
  Template* common = subscriber->route->owner;
  return common->spec.query == nullptr || IsReadyToListen(common, handled);
}

// Tells the client that from now on, what its new snapshot does not see, it gets.
void WakeUp(const Attachment& attachment) {
  Subscriber* subscriber = SleeperOf(attachment);
  if (subscriber == nullptr) return;
  // While nobody listened, the clock was not followed.
  Template* common = subscriber->route->owner;
  if (common->listening == 0 && common->spec.query != nullptr) ForgetKeptOf(common);
  subscriber->attaching = false;
  if (subscriber->undecided) CheckLater(common);
  Unmute(subscriber);
  (void)WithSubscription(*ConnectionAt(attachment.connection->index), attachment.serial,
                         LW_EXCLUSIVE, [](SubscriptionShared* subscription) {
                           if (subscription->phase != Phase::kRegistered) return false;
                           subscription->phase = Phase::kAttached;
                           return true;
                         });
}

}  // namespace

void BeginAttachment(MirroredConnection* connection, uint64_t serial, XLogRecPtr begin) {
  DefinitionCopy definition;
  if (!CopyDefinition(connection->index, serial, &definition)) return;
  if (definition.phase == Phase::kFailed || definition.phase == Phase::kOutdated) return;
  Route* route = TryUseRoute(connection->index, serial, definition);
  if (route == nullptr) return;
  Subscriber* subscriber = AddSubscriber(connection, serial, route);
  if (stringToNode(definition.Field(DefinitionField::kCatalogValues)) != nullptr)
    WatchValues(subscriber);
  // Its client has read a first result already, but nobody was decoding meanwhile.
  if (definition.phase == Phase::kAttached) return ResetNow(subscriber, kRestartedReason);
  // Until FinishAttachments it sleeps: what committed before is in the snapshot that comes.
  Mute(subscriber);
  subscriber->attaching = true;
  // The others of its template were looked at again since: it has missed that.
  if (definition.analysed_at < route->owner->checked_at) return AskToSubscribeAgain(subscriber);
  InMemoryContext(TopMemoryContext, [&] {
    Attachment* attachment = static_cast<Attachment*>(palloc(sizeof(Attachment)));
    *attachment = {connection, serial, begin};
    attachments = lappend(attachments, attachment);
  });
}

void RefuseAttachingAtExit(const GuardFailure& failure) {
  Refuse(attaching.connection, attaching.serial, failure.sqlstate, failure.reason, nullptr);
}

bool AttachmentsWait() { return attachments != NIL; }

bool AttachmentsAwaitCheck(XLogRecPtr handled) {
  ListCell* cell;
  foreach (cell, attachments) {
    const Attachment& attachment = *static_cast<Attachment*>(lfirst(cell));
    const Subscriber* subscriber = attachment.begin > handled ? nullptr : SleeperOf(attachment);
    if (subscriber != nullptr && IsCheckedFirst(*subscriber)) return true;
  }
  return false;
}

void FinishAttachments(XLogRecPtr handled) {
  if (attachments == NIL) return;
  List* waiting = NIL;
  List* ready = NIL;
  ListCell* cell;
  InMemoryContext(TopMemoryContext, [&] {
    foreach (cell, attachments) {
      Attachment* attachment = static_cast<Attachment*>(lfirst(cell));
      SendBackIfOutdated(*attachment, handled);
      List** list = IsReady(*attachment, handled) ? &ready : &waiting;
      *list = lappend(*list, attachment);
    }
  });
  if (ready != NIL) {
    LIVE_QUERIES_FAULT("decoder-attaching");
    foreach (cell, ready) WakeUp(*static_cast<Attachment*>(lfirst(cell)));
    LIVE_QUERIES_FAULT("decoder-attached");
    ConditionVariableBroadcast(&MyConsumer()->progress);
  }
  list_free_deep(ready);
  list_free(attachments);
  attachments = waiting;
}

}  // namespace live_queries
