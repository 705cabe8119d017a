// How the messages of a subscription reach its client.
//
// Owns: Delivery and its text in `live.subscribe` and the view. Used by the SQL functions, the
// registry and the client backend's delivery. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace live_queries {

enum class Delivery : uint8_t {
  kNotify,  // pushed, as notifications on the connection's channel
  kPoll,    // pulled by live.poll
};

constexpr std::string_view ToText(Delivery delivery) {
  switch (delivery) {
    case Delivery::kNotify:
      return "notify";
    case Delivery::kPoll:
      return "poll";
  }
  return "unknown";
}

constexpr std::optional<Delivery> ParseDelivery(std::string_view text) {
  for (const Delivery delivery : {Delivery::kNotify, Delivery::kPoll})
    if (text == ToText(delivery)) return delivery;
  return std::nullopt;
}

}  // namespace live_queries
