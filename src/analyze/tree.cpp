// Writes trees as texts in which two trees that mean the same are equal: without the places that
// their parts had in the query; and makes the nodes that many need. Process: any.
#include "analyze/tree.hpp"

extern "C" {
#include "nodes/makefuncs.h"
#include "utils/lsyscache.h"
}

namespace live_queries {

namespace {

// Where in a text a node was found. Before 17, nodeToString writes that.
constexpr std::string_view kLocations[] = {" :location ", " :stmt_location ", " :stmt_len "};

// The number of the next one; nullptr: there is none.
const char* FindLocation(const char* text) {
  for (const char* found = strstr(text, " :"); found != nullptr; found = strstr(found + 1, " :"))
    for (const std::string_view name : kLocations)
      if (strncmp(found, name.data(), name.size()) == 0) return found + name.size();
  return nullptr;
}

}  // namespace

List* CombinedBy(const Query& level) {
  List* combined = NIL;
  ListCell* cell;
  foreach (cell, level.rtable)
    if (lfirst_node(RangeTblEntry, cell)->rtekind == RTE_SUBQUERY)
      combined = lappend(combined, lfirst(cell));
  return combined;
}

Expr* MakeParam(int number, Oid type) {
  Param* param = makeNode(Param);
  param->paramkind = PARAM_EXTERN;
  param->paramid = number;
  param->paramtype = type;
  param->paramtypmod = -1;
  param->paramcollid = get_typcollation(type);
  param->location = -1;
  return reinterpret_cast<Expr*>(param);
}

char* TreeToText(const void* tree) {
  char* text = nodeToString(tree);
  // A string in the tree cannot look like a location: its blanks are escaped.
  StringInfoData out;
  initStringInfo(&out);
  const char* rest = text;
  while (const char* number = FindLocation(rest)) {
    appendBinaryStringInfo(&out, rest, static_cast<int>(number - rest));
    appendStringInfoString(&out, "-1");
    rest = number + strspn(number, "-0123456789");
  }
  appendStringInfoString(&out, rest);
  pfree(text);
  return out.data;
}

}  // namespace live_queries
