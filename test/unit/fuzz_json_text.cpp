// Fuzz target: any bytes as a JSON string, read back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "json_string.hpp"
#include "model/json_text.hpp"
#include "string_sink.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  StringSink sink;
  live_queries::EscapeJson(sink, text);
  if (ParseJsonString(sink.text) != text) std::abort();
  return 0;
}
