// When a message's transaction was committed. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace pg_live {

// Of a text such as 2026-11-21T22:45:01.123456+00:00.
std::optional<std::chrono::system_clock::time_point> ParseCommitTime(const std::string& text);

}  // namespace pg_live
