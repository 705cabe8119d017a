// Fault points and mutations, for tests. A build without LIVE_QUERIES_FAULTS has nothing of them.
//
// LIVE_QUERIES_FAULT("name") is a step at which a test can hold a process, make it wait, raise an
// error, or end it (live_queries_fault_set, see fault.cpp). It stands where no lock is held.
// LIVE_QUERIES_MUTATION("name") is true where a test has switched a deliberate bug on
// (live_queries.debug_mutation), to see that the tests notice it.
// Process: any.
#pragma once

#include "pg/postgres.hpp"

#ifdef LIVE_QUERIES_FAULTS

namespace live_queries {

void ReachFaultPoint(const char* name);
bool MutationIsOn(const char* name);

// Shared memory of the fault points, and the setting. Postmaster only.
size_t FaultMemoryBytes();
void InitFaultMemory(void* place, bool fresh);
void DefineFaultSettings();

}  // namespace live_queries

#define LIVE_QUERIES_FAULT(name) ::live_queries::ReachFaultPoint(name)
#define LIVE_QUERIES_MUTATION(name) ::live_queries::MutationIsOn(name)

#else

namespace live_queries {
// Not a literal, so that a condition with it reads as one.
constexpr bool MutationIsOff() { return false; }
}  // namespace live_queries

#define LIVE_QUERIES_FAULT(name) static_cast<void>(0)
#define LIVE_QUERIES_MUTATION(name) ::live_queries::MutationIsOff()

#endif
