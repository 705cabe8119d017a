// The problem of a subscription, kept aside: there are many subscriptions, and few have one.
// Guarded by the lock of its connection. Process: any.
#pragma once

#include "registry/problem.hpp"
#include "registry/shared_memory.hpp"

namespace live_queries {

struct ConnectionShared;

struct KeptProblemShared {
  int sqlstate;  // 0: none
  bool may_quote_rows;
  dsa_pointer whole;  // ProblemShared; invalid if there is none, or was no memory for it
};

// Makes room for a problem, if there is memory for it; charged to the connection, past its limits.
// Maps it as well. May ereport, and has changed nothing then.
void PrepareProblem(ConnectionShared* connection, KeptProblemShared* kept);

// Keeps it, with what has been prepared: at least its SQLSTATE. Never ereports.
void KeepProblem(KeptProblemShared* kept, const ProblemShared& problem);

// What is kept; its sqlstate is 0 if nothing is. Without memory for it, it was another message. May
// have to map it.
ProblemShared CopyProblem(const KeptProblemShared& kept);

// Gives its memory back.
void FreeProblem(ConnectionShared* connection, KeptProblemShared* kept);

}  // namespace live_queries
