// An error as it crosses processes: kept in shared memory by the one that has it, raised by the one
// that it concerns. Process: any.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "utils/dsa.h"
}

namespace live_queries {

inline constexpr size_t kMaxProblemBytes = 256;

// `message` and `hint` end with NUL. Guarded by whatever guards its owner.
struct ProblemShared {
  int sqlstate;  // 0: none
  char message[kMaxProblemBytes];
  char hint[kMaxProblemBytes];
  bool may_quote_rows;  // of a query: for its own session alone

  void Set(int code, const char* text, const char* advice);
};

// That of a subscription, kept aside (kept_problem.hpp): there are many subscriptions, and few have
// one.
struct KeptProblemShared {
  int sqlstate;  // 0: none
  bool may_quote_rows;
  dsa_pointer whole;  // ProblemShared; invalid if there is none, or was no memory for it
};

// Raises it as an error of the caller.
[[noreturn]] void RaiseProblem(const ProblemShared& problem);

}  // namespace live_queries
