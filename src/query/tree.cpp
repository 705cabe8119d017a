// Writes trees as texts in which two trees that mean the same are equal: without the places that
// their parts had in the query. Process: any.
#include "query/tree.hpp"

extern "C" {
#include "nodes/nodes.h"
}

namespace live_queries {

char* TreeToText(const void* tree) {
  char* text = nodeToString(tree);
  // Before 17, nodeToString writes the locations. A string in the tree cannot look like one: its
  // blanks are escaped.
  constexpr std::string_view kMark = " :location ";
  StringInfoData out;
  initStringInfo(&out);
  const char* rest = text;
  while (const char* found = strstr(rest, kMark.data())) {
    const char* number = found + kMark.size();
    appendBinaryStringInfo(&out, rest, static_cast<int>(number - rest));
    appendStringInfoString(&out, "-1");
    rest = number + strspn(number, "-0123456789");
  }
  appendStringInfoString(&out, rest);
  pfree(text);
  return out.data;
}

}  // namespace live_queries
