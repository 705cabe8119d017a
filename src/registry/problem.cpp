// Cuts an error's texts to their room, and raises them elsewhere with their SQLSTATE. Process: any.
#include "registry/problem.hpp"

extern "C" {
#include "mb/pg_wchar.h"
}

namespace live_queries {

void ProblemShared::Set(int code, const char* text, const char* advice) {
  sqlstate = code;
  may_quote_rows = false;
  // Cut between characters.
  auto copy = [](char(&to)[kMaxProblemBytes], const char* from) {
    if (from == nullptr) from = "";
    const int length = static_cast<int>(strlen(from));
    strlcpy(to, from, pg_mbcliplen(from, length, kMaxProblemBytes - 1) + 1);
  };
  copy(message, text);
  copy(hint, advice);
}

void RaiseProblem(const ProblemShared& problem) {
  ereport(ERROR, errcode(problem.sqlstate), errmsg("%s", problem.message),
          problem.hint[0] != '\0' ? errhint("%s", problem.hint) : 0);
  pg_unreachable();
}

}  // namespace live_queries
