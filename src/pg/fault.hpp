// Fault points and deliberate bugs, for tests. A build without LIVE_QUERIES_FAULTS has nothing of
// them. Any code of the server side names them.
//
// LIVE_QUERIES_FAULT("name") is a step at which a test can hold a process, make it wait, raise an
// error, end it, or take its memory away (live_queries_fault_set, see fault.cpp). It stands where
// no lock is held. Where an error would be wrong in itself, the list in
// test/faults/002_every_fault_point.pl says why.
// LIVE_QUERIES_MUTATION("name") is true where a test has switched a deliberate bug on
// (live_queries.debug_mutation), to see that the tests notice it (test/oracle/mutations).
// Process: any.
#pragma once

#include "pg/postgres.hpp"

#ifdef LIVE_QUERIES_FAULTS

namespace live_queries {

void ReachFaultPoint(const char* name);
bool MutationIsOn(const char* name);

// Asked before each allocation of shared memory: true if this one is to find none. May ereport, as
// the server does where it cannot make the area larger.
bool SharedMemoryIsSpent();
// Counts what is allocated: pieces and their bytes, negative when they are freed.
void CountShared(int pieces, int64_t bytes);
struct SharedCount {
  int64_t pieces;
  int64_t bytes;
};
SharedCount CountedShared();

// The consumer of the live queries that this session subscribes to: live_queries.test_consumer. The
// second one is another decoder, with a slot of its own.
int ConsumerUnderTest();
// Whether evaluators go but half the way to where they could: live_queries.test_half_way.
bool GoesHalfWay();
// The size of a dirty log that is made, 0: as usual: live_queries.test_dirty_log_size. With a small
// one, evaluators are lapped all the time.
uint32_t DirtyLogBytesUnderTest();
// Whether all parts of definitions have the same hash: live_queries.test_equal_hashes.
bool HashesAreEqual();
// Whether every body of a message is one that mailboxes share, however short it is and however few
// have it: live_queries.test_share_all.
bool SharesAllBodies();

// Shared memory of the fault points, and the settings. Postmaster only.
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
constexpr bool SharedMemoryIsSpent() { return false; }
constexpr int ConsumerUnderTest() { return 0; }
constexpr bool GoesHalfWay() { return false; }
constexpr uint32_t DirtyLogBytesUnderTest() { return 0; }
constexpr bool HashesAreEqual() { return false; }
constexpr bool SharesAllBodies() { return false; }
}  // namespace live_queries

#define LIVE_QUERIES_FAULT(name) static_cast<void>(0)
#define LIVE_QUERIES_MUTATION(name) ::live_queries::MutationIsOff()

#endif
