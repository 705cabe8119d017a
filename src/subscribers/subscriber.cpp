// Joins and leaves routes, and counts for each route how many listen. Process: decoder.
#include "subscribers/subscriber.hpp"

#include "pg/memory.hpp"
#include "template/routing_index.hpp"
#include "template/template_table.hpp"
#include "template/unchecked.hpp"

namespace live_queries {
namespace {

void Collect(const Route& route, List** subscribers) {
  for (Subscriber* subscriber = route.subscribers; subscriber != nullptr;
       subscriber = subscriber->next)
    *subscribers = lappend(*subscribers, subscriber);
}

}  // namespace

void JoinRoute(Subscriber* subscriber, Route* route) {
  subscriber->route = route;
  subscriber->next = route->subscribers;
  route->subscribers = subscriber;
  CountListening(route, 1);
}

void LeaveRoute(Subscriber* subscriber) {
  Route* route = subscriber->route;
  Subscriber** link = &route->subscribers;
  while (*link != subscriber) link = &(*link)->next;
  *link = subscriber->next;
  Mute(subscriber);
  if (subscriber->values != nullptr) --route->owner->catalog_readers;
  if (route->subscribers == nullptr) DropRoute(route);
}

void Mute(Subscriber* subscriber) {
  if (subscriber->muted) return;
  subscriber->muted = true;
  CountListening(subscriber->route, -1);
}

void Unmute(Subscriber* subscriber) {
  if (!subscriber->muted) return;
  subscriber->muted = false;
  CountListening(subscriber->route, 1);
}

void WatchValues(Subscriber* subscriber) {
  Template* one = subscriber->route->owner;
  subscriber->values = AllocateIn<WatchedValues>(GetMemoryChunkContext(subscriber));
  subscriber->values->catalogs_seen = one->catalog_changes;
  AddCatalogReader(one);
}

List* SubscribersOf(const Route& route) {
  List* subscribers = NIL;
  Collect(route, &subscribers);
  return subscribers;
}

List* SubscribersOf(Template* one) {
  List* subscribers = NIL;
  ForEachRoute(
      one, [](Route* route, void* list) { Collect(*route, static_cast<List**>(list)); },
      &subscribers);
  return subscribers;
}

}  // namespace live_queries
