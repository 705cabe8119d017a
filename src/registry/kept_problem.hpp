// Keeps the problem of a subscription aside, under the lock of its connection. Process: any.
#pragma once

#include "pg/postgres.hpp"
#include "registry/problem.hpp"

namespace live_queries {

struct ConnectionShared;

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
