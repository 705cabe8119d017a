// The operations on a database's slot. Process: any.
#include "registry/database.hpp"

#include "pg/locks.hpp"
#include "pg/settings.hpp"
#include "registry/shared_memory.hpp"

extern "C" {
#include "mb/pg_wchar.h"
#include "storage/latch.h"
#include "storage/proc.h"
}

namespace live_queries {
namespace {

constexpr int kFirstBackoffMs = 200;
constexpr int kLongestBackoffMs = 30 * 1000;

void SetLatchOf(int proc) {
  if (proc >= 0) SetLatch(&ProcGlobal->allProcs[proc].procLatch);
}

void Reuse(DatabaseShared* slot, Oid database) {
  slot->database = database;
  slot->failures = 0;
  slot->retry_at = 0;
  slot->wanted_until = 0;
  slot->suspended_until = 0;
  slot->always_on = false;
  slot->problem.sqlstate = 0;
  pg_atomic_write_u64(&slot->commit_lsn, 0);
  pg_atomic_write_u64(&slot->handled_lsn, 0);
  pg_atomic_write_u64(&slot->terminate_up_to, 0);
  for (pg_atomic_uint64* counter :
       {&slot->transactions, &slot->changes_decoded, &slot->changes_ignored, &slot->changes_matched,
        &slot->messages, &slot->resets, &slot->errors})
    pg_atomic_write_u64(counter, 0);
}

}  // namespace

std::string_view ToText(DecoderState state) {
  switch (state) {
    case DecoderState::kStopped:
      return "stopped";
    case DecoderState::kLaunched:
      return "launched";
    case DecoderState::kFindingStart:
      return "finding start";
    case DecoderState::kRunning:
      return "running";
  }
  return "unknown";
}

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

DatabaseShared* FindDatabase(Oid database) {
  for (int i = 0; i < max_databases; ++i) {
    DatabaseShared* slot = DatabaseAt(i);
    if (slot->database == database) return slot;
  }
  return nullptr;
}

DatabaseShared* FindOrAddDatabase(Oid database) {
  Assert(LWLockHeldByMeInMode(ControlLock(), LW_EXCLUSIVE));
  if (DatabaseShared* found = FindDatabase(database)) return found;
  const TimestampTz now = GetCurrentTimestamp();
  DatabaseShared* idle = nullptr;
  for (int i = 0; i < max_databases; ++i) {
    DatabaseShared* slot = DatabaseAt(i);
    if (!OidIsValid(slot->database)) {
      idle = slot;
      break;
    }
    const bool used = slot->state != DecoderState::kStopped || slot->decoder_pid != 0 ||
                      slot->always_on || slot->wanted_until > now || slot->suspended_until > now ||
                      pg_atomic_read_u32(&slot->subscriptions) > 0;
    if (!used && idle == nullptr) idle = slot;
  }
  if (idle != nullptr) Reuse(idle, database);
  return idle;
}

void ForgetDatabase(Oid database) {
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    DatabaseShared* slot = FindDatabase(database);
    if (slot == nullptr || slot->decoder_pid != 0) return;
    // A decoder that is on its way finds that its place is not meant for it any more, and goes.
    slot->state = DecoderState::kStopped;
    slot->database = InvalidOid;
    slot->always_on = false;
    slot->suspended_until = 0;
  });
}

void NoteFailure(DatabaseShared* database) {
  int backoff = kFirstBackoffMs;
  for (int i = 0; i < database->failures && backoff < kLongestBackoffMs; ++i) backoff *= 2;
  ++database->failures;
  database->retry_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), backoff);
}

void WakeDecoder(DatabaseShared* database) { SetLatchOf(database->decoder_proc); }

void WakeLauncher() { SetLatchOf(Control()->launcher_proc); }

void RaiseProblem(const ProblemShared& problem) {
  ereport(ERROR, errcode(problem.sqlstate), errmsg("%s", problem.message),
          problem.hint[0] != '\0' ? errhint("%s", problem.hint) : 0);
  pg_unreachable();
}

void RaiseTo(pg_atomic_uint64* target, uint64_t value) {
  uint64 current = pg_atomic_read_u64(target);
  while (current < value && !pg_atomic_compare_exchange_u64(target, &current, value)) {
  }
}

}  // namespace live_queries
