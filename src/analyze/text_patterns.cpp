// By the functions, since an operator of users may be made of them. Process: client backend,
// decoder.
#include "analyze/text_patterns.hpp"

#include "model/text_prefix.hpp"

extern "C" {
#include "utils/builtins.h"
#include "utils/fmgroids.h"
}

namespace live_queries {
namespace {

std::string_view BytesOf(const text* value) {
  return {VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)};
}

text* TextOf(std::string_view bytes) {
  return cstring_to_text_with_len(bytes.data(), static_cast<int>(bytes.size()));
}

char* CopyBytes(std::string_view bytes) {
  return static_cast<char*>(memcpy(palloc(bytes.size() + 1), bytes.data(), bytes.size()));
}

}  // namespace

bool TakesPattern(Oid function) { return function == F_TEXTLIKE || function == F_STARTS_WITH; }

text* PrefixOf(Oid function, Datum pattern) {
  const std::string_view bytes = BytesOf(DatumGetTextPP(pattern));
  if (bytes.empty()) return nullptr;
  if (function == F_STARTS_WITH) return TextOf(bytes);
  if (EndsInEscape(bytes)) return nullptr;
  char* prefix = CopyBytes(bytes);
  const size_t length = LikePrefix(bytes, prefix);
  text* found = length == 0 ? nullptr : TextOf({prefix, length});
  pfree(prefix);
  return found;
}

text* BeyondPrefix(const text* prefix) {
  const std::string_view bytes = BytesOf(prefix);
  char* beyond = CopyBytes(bytes);
  const size_t length = EndOfPrefix(beyond, bytes.size());
  text* found = length == 0 ? nullptr : TextOf({beyond, length});
  pfree(beyond);
  return found;
}

}  // namespace live_queries
