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

enum class FaultAction : uint8_t { kNone, kHold, kError, kExit, kKill, kSleep };

constexpr int kMostFaults = 16;

struct FaultShared {
  char name[NAMEDATALEN];  // "*": every point
  FaultAction action;
  int argument;  // kSleep: at most so many milliseconds
  int left;      // how often it still happens; negative: always
  int waiting;   // processes held
};

// All guarded by `lock`, but for the unlocked look at `any`.
struct FaultsShared {
  slock_t lock;
  volatile bool any;
  FaultShared faults[kMostFaults];
};

FaultsShared* faults = nullptr;
char* debug_mutation = nullptr;

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

void Set(const char* name, FaultAction action, int argument, int count) {
  SpinLockAcquire(&faults->lock);
  FaultShared* fault = Find(name);
  for (int i = 0; fault == nullptr && i < kMostFaults; ++i)
    if (faults->faults[i].action == FaultAction::kNone) fault = &faults->faults[i];
  if (fault != nullptr) {
    strlcpy(fault->name, name, sizeof(fault->name));
    fault->action = action;
    fault->argument = argument;
    fault->left = count;
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
}

void DefineFaultSettings() {
  DefineCustomStringVariable("live_queries.debug_mutation", "The deliberate bug of a test build.",
                             nullptr, &debug_mutation, "", PGC_SIGHUP, 0, nullptr, nullptr,
                             nullptr);
}

bool MutationIsOn(const char* name) {
  return debug_mutation != nullptr && strcmp(debug_mutation, name) == 0;
}

void ReachFaultPoint(const char* name) {
  if (faults == nullptr || !faults->any) return;
  SpinLockAcquire(&faults->lock);
  FaultShared* fault = Find(name);
  if (fault == nullptr) fault = Find("*");
  FaultAction action = FaultAction::kNone;
  int argument = 0;
  if (fault != nullptr && fault->left != 0) {
    action = fault->action;
    argument = fault->argument;
    if (fault->left > 0) --fault->left;
  }
  SpinLockRelease(&faults->lock);
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
      pg_usleep(static_cast<long>(
          pg_prng_uint64_range(&pg_global_prng_state, 0, static_cast<uint64>(argument) * 1000)));
      break;
  }
}

}  // namespace live_queries

// fault_set(name text, action text, argument int, count int): void
Datum live_queries_fault_set(PG_FUNCTION_ARGS) {
  live_queries::Set(text_to_cstring(PG_GETARG_TEXT_PP(0)),
                    live_queries::Parse(text_to_cstring(PG_GETARG_TEXT_PP(1))), PG_GETARG_INT32(2),
                    PG_GETARG_INT32(3));
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
