// The status of a subscription.
//
// Owns: SubscriptionStatus, its text in the view `live_queries` and its allowed transitions. Used
// by the registry, the SQL functions and the flow control. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace live_queries {

enum class SubscriptionStatus : uint8_t {
  kActive,
  kPaused,
  kTerminated,
};

constexpr std::string_view ToText(SubscriptionStatus status) {
  switch (status) {
    case SubscriptionStatus::kActive:
      return "active";
    case SubscriptionStatus::kPaused:
      return "paused";
    case SubscriptionStatus::kTerminated:
      return "terminated";
  }
  return "unknown";
}

constexpr std::optional<SubscriptionStatus> ParseSubscriptionStatus(std::string_view text) {
  for (const SubscriptionStatus status :
       {SubscriptionStatus::kActive, SubscriptionStatus::kPaused, SubscriptionStatus::kTerminated})
    if (text == ToText(status)) return status;
  return std::nullopt;
}

// Pausing what is paused and resuming what is active are allowed and change nothing. Terminated is
// final: not even terminating again is a transition, so that the first reason stays.
constexpr bool IsValidTransition(SubscriptionStatus from, SubscriptionStatus to) {
  const bool from_live = from == SubscriptionStatus::kActive || from == SubscriptionStatus::kPaused;
  return from_live && to <= SubscriptionStatus::kTerminated;
}

}  // namespace live_queries
