// A list of routes, each with a text that grows. Process: decoder, evaluator.
#include "template/route_body.hpp"

#include "model/message.hpp"
#include "template/guard.hpp"
#include "template/routing_index.hpp"

namespace live_queries {
namespace {

void HandOver(Route* route, const Origin& origin, const Sink& sink) {
  if (route->body.len > 0) sink.changes(*route, origin, {View(route->body), route->change_count});
  ClearBody(route);
}

// The next one, which is not touched any more; nullptr: there is none.
Route* TakeFirst(TouchedRoutes* touched) {
  Route* route = touched->first;
  if (route == nullptr) return nullptr;
  touched->first = route->next_touched;
  route->touched = false;
  return route;
}

struct ResetArguments {
  const Sink* sink;
  uint64_t seq;
  const char* reason;
};

}  // namespace

StringInfoSink AddChange(Route* route, TouchedRoutes* touched) {
  if (!route->touched) {
    route->touched = true;
    route->next_touched = touched->first;
    touched->first = route;
  }
  if (route->body.data == nullptr)
    InMemoryContext(route->owner->context, [&] { initStringInfo(&route->body); });
  if (route->body.len >= static_cast<int>(kMessageSplitBytes)) touched->long_bodies = true;
  if (route->body.len > 0) appendStringInfoChar(&route->body, ',');
  ++route->change_count;
  return StringInfoSink{&route->body};
}

void HandOverLong(TouchedRoutes* touched, const Origin& origin, const Sink& sink) {
  if (!touched->long_bodies) return;
  touched->long_bodies = false;
  BlamingNobody([&] {
    for (Route* route = touched->first; route != nullptr; route = route->next_touched)
      if (route->body.len >= static_cast<int>(kMessageSplitBytes)) HandOver(route, origin, sink);
  });
}

void HandOverAll(TouchedRoutes* touched, const Origin& origin, const Sink& sink) {
  while (Route* route = TakeFirst(touched)) HandOver(route, origin, sink);
  touched->long_bodies = false;
}

void ForgetChanges(TouchedRoutes* touched) {
  while (Route* route = TakeFirst(touched)) ClearBody(route);
  touched->long_bodies = false;
}

void ResetRoutes(Template* common, uint64_t seq, const char* reason, const Sink& sink) {
  ResetArguments arguments = {&sink, seq, reason};
  BlamingNobody([&] {
    ForEachRoute(
        common,
        [](Route* route, void* context) {
          const ResetArguments* reset = static_cast<ResetArguments*>(context);
          reset->sink->reset(*route, reset->seq, reset->reason);
        },
        &arguments);
  });
}

}  // namespace live_queries
