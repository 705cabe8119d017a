// A TextSink over std::string, for tests.
#pragma once

#include <string>
#include <string_view>

#include "model/json_text.hpp"

struct StringSink {
  std::string text;

  void Append(std::string_view more) { text.append(more); }
};

static_assert(live_queries::TextSink<StringSink>);
