// The fault points of a test build. Their SQL functions are no part of the extension: a test
// creates them itself, as a superuser (test/t/LiveQueries.pm). Process: any.
#include "pg/fault.hpp"

#ifdef LIVE_QUERIES_FAULTS

#include <csignal>

#include "pg/compat.hpp"

extern "C" {
#include "common/pg_prng.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/spin.h"
#include "utils/guc.h"

LIVE_QUERIES_FUNCTION(live_queries_fault_set);
LIVE_QUERIES_FUNCTION(live_queries_fault_waiting);
}

namespace live_queries {
namespace {

enum class FaultAction : uint8_t {
  kNone,
  kHold,
  kSleep,
  kError,
  kExit,
  kKill,
  kAllocation,  // fails: this process has no more memory
};

constexpr int kMostFaults = 16;

struct FaultShared {
  char name[NAMEDATALEN];  // "*": every point
  FaultAction action;
  // kSleep: at most so many milliseconds. kAllocation: which allocation of shared memory from here
  // on finds none; if negative, it raises the server's own error instead; 0: an error right here.
  int argument;
  int skip;     // passes before the first one that counts
  int left;     // how often it still happens; negative: always
  int waiting;  // processes held
};

// All guarded by `lock`, but for the unlocked look at `any` and the atomic counters.
struct FaultsShared {
  slock_t lock;
  volatile bool any;
  FaultShared faults[kMostFaults];
  pg_atomic_uint64 pieces;
  pg_atomic_uint64 bytes;
};

FaultsShared* faults = nullptr;
char* debug_mutation = nullptr;
int test_consumer = 0;
bool test_half_way = false;
int test_dirty_log_kb = 0;
bool test_equal_hashes = false;
bool test_share_all = false;
// Of this process: the allocation that fails, counted down to 0; up, if it is to raise an error.
int failing_allocation = 0;
char failing_since[NAMEDATALEN];

FaultShared* Find(const char* name) {
  for (FaultShared& fault : faults->faults)
    if (fault.action != FaultAction::kNone && strcmp(fault.name, name) == 0) return &fault;
  return nullptr;
}

FaultAction Parse(const char* text) {
  if (strcmp(text, "none") == 0) return FaultAction::kNone;
  if (strcmp(text, "hold") == 0) return FaultAction::kHold;
  if (strcmp(text, "error") == 0) return FaultAction::kError;
  if (strcmp(text, "exit") == 0) return FaultAction::kExit;
  if (strcmp(text, "kill") == 0) return FaultAction::kKill;
  if (strcmp(text, "sleep") == 0) return FaultAction::kSleep;
  if (strcmp(text, "alloc") == 0) return FaultAction::kAllocation;
  elog(ERROR, "unknown fault action \"%s\"", text);
  pg_unreachable();
}

void CountWaiting(const char* name, int change) {
  SpinLockAcquire(&faults->lock);
  if (FaultShared* fault = Find(name)) fault->waiting += change;
  SpinLockRelease(&faults->lock);
}

void HoldWhileSet(const char* name) {
  CountWaiting(name, 1);
  for (;;) {
    SpinLockAcquire(&faults->lock);
    const FaultShared* fault = Find(name);
    const bool held = fault != nullptr && fault->action == FaultAction::kHold;
    SpinLockRelease(&faults->lock);
    if (!held) return;
    CHECK_FOR_INTERRUPTS();
    pg_usleep(5000);
  }
}

// Half of its time at the most: a process that comes to points all the time has work to do.
void Sleep(int most_ms) {
  static TimestampTz rested = 0;
  if (GetCurrentTimestamp() < rested) return;
  const uint64 most_us = static_cast<uint64>(most_ms) * 1000;
  const uint64 pause_us = pg_prng_uint64_range(&pg_global_prng_state, 0, most_us);
  pg_usleep(static_cast<long>(pause_us));
  rested = GetCurrentTimestamp() + static_cast<int64>(pause_us);
}

void FailAllocation(const char* name, int which) {
  if (which == 0) ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("fault point %s", name));
  strlcpy(failing_since, name, sizeof(failing_since));
  failing_allocation = which;
}

void Set(const char* name, FaultAction action, int argument, int count, int skip) {
  SpinLockAcquire(&faults->lock);
  FaultShared* fault = Find(name);
  for (int i = 0; fault == nullptr && i < kMostFaults; ++i)
    if (faults->faults[i].action == FaultAction::kNone) fault = &faults->faults[i];
  if (fault != nullptr) {
    strlcpy(fault->name, name, sizeof(fault->name));
    fault->action = action;
    fault->argument = argument;
    fault->left = count;
    fault->skip = skip;
    fault->waiting = 0;
  }
  faults->any = false;
  for (const FaultShared& one : faults->faults)
    if (one.action != FaultAction::kNone) faults->any = true;
  SpinLockRelease(&faults->lock);
  if (fault == nullptr) elog(ERROR, "too many fault points are set");
}

}  // namespace

size_t FaultMemoryBytes() { return MAXALIGN(sizeof(FaultsShared)); }

void InitFaultMemory(void* place, bool fresh) {
  faults = static_cast<FaultsShared*>(place);
  if (!fresh) return;
  memset(faults, 0, sizeof(FaultsShared));
  SpinLockInit(&faults->lock);
  pg_atomic_init_u64(&faults->pieces, 0);
  pg_atomic_init_u64(&faults->bytes, 0);
}

void DefineFaultSettings() {
  DefineCustomStringVariable("live_queries.debug_mutation", "The deliberate bug of a test build.",
                             nullptr, &debug_mutation, "", PGC_SIGHUP, 0, nullptr, nullptr,
                             nullptr);
  DefineCustomIntVariable("live_queries.test_consumer",
                          "The consumer of the live queries that the session subscribes to.",
                          nullptr, &test_consumer, 0, 0, 1, PGC_USERSET, 0, nullptr, nullptr,
                          nullptr);
  DefineCustomBoolVariable("live_queries.test_half_way",
                           "Evaluators go but half the way to where they could.", nullptr,
                           &test_half_way, false, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable(
      "live_queries.test_dirty_log_size", "The size of a dirty log that is made, a power of two.",
      nullptr, &test_dirty_log_kb, 0, 0, 4096, PGC_SIGHUP, GUC_UNIT_KB, nullptr, nullptr, nullptr);
  DefineCustomBoolVariable("live_queries.test_equal_hashes",
                           "All parts of definitions have the same hash.", nullptr,
                           &test_equal_hashes, false, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomBoolVariable("live_queries.test_share_all",
                           "Mailboxes share the bodies of all messages.", nullptr, &test_share_all,
                           false, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
}

int ConsumerUnderTest() { return test_consumer; }

bool GoesHalfWay() { return test_half_way; }

uint32_t DirtyLogBytesUnderTest() { return static_cast<uint32_t>(test_dirty_log_kb) * 1024; }

bool HashesAreEqual() { return test_equal_hashes; }

bool SharesAllBodies() { return test_share_all; }

bool MutationIsOn(const char* name) {
  return debug_mutation != nullptr && strcmp(debug_mutation, name) == 0;
}

bool SharedMemoryIsSpent() {
  if (failing_allocation == 0) return false;
  const bool raises = failing_allocation < 0;
  failing_allocation += raises ? 1 : -1;
  if (failing_allocation != 0) return false;
  ereport(LOG, errmsg("fault point %s: no shared memory", failing_since));
  if (raises)
    ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY), errmsg("fault point %s", failing_since));
  return true;
}

void CountShared(int pieces, int64_t bytes) {
  pg_atomic_fetch_add_u64(&faults->pieces, pieces);
  pg_atomic_fetch_add_u64(&faults->bytes, bytes);
}

SharedCount CountedShared() {
  return {static_cast<int64_t>(pg_atomic_read_u64(&faults->pieces)),
          static_cast<int64_t>(pg_atomic_read_u64(&faults->bytes))};
}

void ReachFaultPoint(const char* name) {
  if (faults == nullptr || !faults->any) return;
  SpinLockAcquire(&faults->lock);
  FaultShared* fault = Find(name);
  if (fault == nullptr) fault = Find("*");
  FaultAction action = FaultAction::kNone;
  int argument = 0;
  if (fault != nullptr && fault->skip > 0) {
    --fault->skip;
  } else if (fault != nullptr && fault->left != 0) {
    action = fault->action;
    argument = fault->argument;
    if (fault->left > 0) --fault->left;
  }
  SpinLockRelease(&faults->lock);
  // Not every error gets into the log.
  if (action > FaultAction::kSleep) ereport(LOG, errmsg("fault point %s: reached", name));
  switch (action) {
    case FaultAction::kNone:
      break;
    case FaultAction::kHold:
      HoldWhileSet(name);
      break;
    case FaultAction::kError:
      ereport(ERROR, errcode(ERRCODE_INTERNAL_ERROR), errmsg("fault point %s", name));
      break;
    case FaultAction::kExit:
      ereport(FATAL, errcode(ERRCODE_INTERNAL_ERROR), errmsg("fault point %s", name));
      break;
    case FaultAction::kKill:
      raise(SIGKILL);
      break;
    case FaultAction::kSleep:
      Sleep(argument);
      break;
    case FaultAction::kAllocation:
      FailAllocation(name, argument);
      break;
  }
}

}  // namespace live_queries

// fault_set(name text, action text, argument int, count int [, skip int]): void
Datum live_queries_fault_set(PG_FUNCTION_ARGS) {
  live_queries::Set(text_to_cstring(PG_GETARG_TEXT_PP(0)),
                    live_queries::Parse(text_to_cstring(PG_GETARG_TEXT_PP(1))), PG_GETARG_INT32(2),
                    PG_GETARG_INT32(3), PG_NARGS() > 4 ? PG_GETARG_INT32(4) : 0);
  PG_RETURN_VOID();
}

// fault_waiting(name text): int, how many processes are held there
Datum live_queries_fault_waiting(PG_FUNCTION_ARGS) {
  const char* name = text_to_cstring(PG_GETARG_TEXT_PP(0));
  SpinLockAcquire(&live_queries::faults->lock);
  const live_queries::FaultShared* fault = live_queries::Find(name);
  const int waiting = fault == nullptr ? 0 : fault->waiting;
  SpinLockRelease(&live_queries::faults->lock);
  PG_RETURN_INT32(waiting);
}

#endif  // LIVE_QUERIES_FAULTS
