// Allocates a subscription's problem when there is one. Process: any.
#include "registry/kept_problem.hpp"

#include "registry/limits.hpp"
#include "registry/shared_memory.hpp"

namespace live_queries {

void PrepareProblem(ConnectionShared* connection, KeptProblemShared* kept) {
  if (!DsaPointerIsValid(kept->whole)) {
    const dsa_pointer room = AllocateShared(sizeof(ProblemShared));
    if (!DsaPointerIsValid(room)) return;
    kept->whole = room;
    Charge(connection, sizeof(ProblemShared));
  }
  (void)FromArea<ProblemShared>(kept->whole);
}

void KeepProblem(KeptProblemShared* kept, const ProblemShared& problem) {
  kept->sqlstate = problem.sqlstate;
  kept->may_quote_rows = problem.may_quote_rows;
  if (DsaPointerIsValid(kept->whole)) *FromArea<ProblemShared>(kept->whole) = problem;
}

ProblemShared CopyProblem(const KeptProblemShared& kept) {
  ProblemShared problem = {};
  if (kept.sqlstate == 0) return problem;
  if (DsaPointerIsValid(kept.whole)) return *FromArea<ProblemShared>(kept.whole);
  problem.Set(kept.sqlstate, "there was no shared memory left for the message of this error",
              nullptr);
  problem.may_quote_rows = kept.may_quote_rows;
  return problem;
}

void FreeProblem(ConnectionShared* connection, KeptProblemShared* kept) {
  if (!DsaPointerIsValid(kept->whole)) return;
  FreeShared(kept->whole);
  kept->whole = InvalidDsaPointer;
  Discharge(connection, sizeof(ProblemShared));
}

}  // namespace live_queries
