// A list of routes, each with a text that grows. Process: decoder, evaluator.
#include "template/route_body.hpp"

#include "model/message.hpp"
#include "template/guard.hpp"
#include "template/routing_index.hpp"

namespace live_queries {
namespace {

// More than this does not wait in all routes together: one transaction may have changes for very
// many of them.
constexpr size_t kMostBytes = size_t{32} * 1024 * 1024;

// Counts what the body that grows has got.
void CountGrowth(TouchedRoutes* touched) {
  if (touched->growing == nullptr) return;
  touched->bytes += static_cast<size_t>(touched->growing->body.maxlen - touched->grown_from);
  touched->growing = nullptr;
}

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

// No route has any.
void ForgetBytes(TouchedRoutes* touched) {
  touched->long_bodies = false;
  touched->bytes = 0;
  touched->growing = nullptr;
}

struct ResetArguments {
  const Sink* sink;
  uint64_t seq;
  const char* reason;
};

}  // namespace

StringInfoSink AddChange(Route* route, TouchedRoutes* touched) {
  CountGrowth(touched);
  touched->growing = route;
  touched->grown_from = route->body.maxlen;
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
  CountGrowth(touched);
  if (touched->bytes > kMostBytes) {
    BlamingNobody([&] { HandOverAll(touched, origin, sink); });
    return;
  }
  if (!touched->long_bodies) return;
  touched->long_bodies = false;
  BlamingNobody([&] {
    for (Route* route = touched->first; route != nullptr; route = route->next_touched) {
      if (route->body.len < static_cast<int>(kMessageSplitBytes)) continue;
      touched->bytes -= static_cast<size_t>(route->body.maxlen);
      HandOver(route, origin, sink);
    }
  });
}

void HandOverAll(TouchedRoutes* touched, const Origin& origin, const Sink& sink) {
  while (Route* route = TakeFirst(touched)) HandOver(route, origin, sink);
  ForgetBytes(touched);
}

void ForgetChanges(TouchedRoutes* touched) {
  while (Route* route = TakeFirst(touched)) ClearBody(route);
  ForgetBytes(touched);
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
