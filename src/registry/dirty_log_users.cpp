// A bit for each consumer, in the database's slot. Process: decoder, evaluator.
#include "registry/dirty_log_users.hpp"

#include "pg/locks.hpp"
#include "registry/database.hpp"
#include "registry/identity_watches.hpp"
#include "registry/shared_memory.hpp"

extern "C" {
#include "storage/ipc.h"
}

namespace live_queries {
namespace {

// The log that this process, the decoder, writes.
DirtyLogShared* written_log = nullptr;

// A consumer does not use the log any more; whoever is the last one frees it.
void GiveBack(DatabaseShared* database, int consumer) {
  const dsa_pointer unused = WithLock(ControlLock(), LW_EXCLUSIVE, [&]() -> dsa_pointer {
    const uint32 users = database->dirty_log_users.Load() & ~ConsumerBit(consumer);
    database->dirty_log_users.Store(users);
    return users == 0 ? database->dirty_log.Exchange(InvalidDsaPointer) : InvalidDsaPointer;
  });
  if (DsaPointerIsValid(unused)) FreeDirtyLog(unused);
}

void GiveBackWrittenLog(int, Datum database) {
  if (written_log == nullptr) return;
  written_log = nullptr;
  GiveBack(reinterpret_cast<DatabaseShared*>(DatumGetPointer(database)), kDecoderConsumer);
}

// Takes the log that the evaluators have made, if they still want it.
DirtyLogShared* TakeLog(DatabaseShared* database) {
  static bool given_back_at_exit = false;
  if (!given_back_at_exit) before_shmem_exit(GiveBackWrittenLog, PointerGetDatum(database));
  given_back_at_exit = true;
  const dsa_pointer pointer = WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    const dsa_pointer log = database->dirty_log.Load();
    if (DsaPointerIsValid(log))
      database->dirty_log_users.Store(database->dirty_log_users.Load() |
                                      ConsumerBit(kDecoderConsumer));
    return log;
  });
  if (!DsaPointerIsValid(pointer)) return nullptr;
  DirtyLogShared* log = FromArea<DirtyLogShared>(pointer);
  BreakDirtyLog(log);
  return log;
}

// Frees the log if nobody else uses it any more.
bool FreeUnusedLog(DatabaseShared* database) {
  if ((database->dirty_log_users.Load() & ~ConsumerBit(kDecoderConsumer)) != 0) return false;
  const dsa_pointer unused = WithLock(ControlLock(), LW_EXCLUSIVE, [&]() -> dsa_pointer {
    if ((database->dirty_log_users.Load() & ~ConsumerBit(kDecoderConsumer)) != 0)
      return InvalidDsaPointer;
    database->dirty_log_users.Store(0);
    return database->dirty_log.Exchange(InvalidDsaPointer);
  });
  if (!DsaPointerIsValid(unused)) return false;
  FreeDirtyLog(unused);
  return true;
}

}  // namespace

DirtyLogShared* JoinDirtyLog(DatabaseShared* database, int consumer) {
  dsa_pointer spare = InvalidDsaPointer;
  for (;;) {
    const dsa_pointer joined = WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
      if (!DsaPointerIsValid(database->dirty_log.Load()) && DsaPointerIsValid(spare)) {
        database->dirty_log.Store(spare);
        spare = InvalidDsaPointer;
      }
      const dsa_pointer log = database->dirty_log.Load();
      if (DsaPointerIsValid(log))
        database->dirty_log_users.Store(database->dirty_log_users.Load() | ConsumerBit(consumer));
      return log;
    });
    if (DsaPointerIsValid(joined)) {
      if (DsaPointerIsValid(spare)) FreeDirtyLog(spare);
      DirtyLogShared* log = FromArea<DirtyLogShared>(joined);
      ForgetIdentityWatches(log, consumer);
      log->awaited[consumer].Store(0);
      WakeConsumer(database->consumers[kDecoderConsumer]);
      return log;
    }
    spare = MakeDirtyLog();
  }
}

void LeaveDirtyLog(DatabaseShared* database, DirtyLogShared* log, int consumer) {
  ForgetIdentityWatches(log, consumer);
  GiveBack(database, consumer);
  WakeConsumer(database->consumers[kDecoderConsumer]);
}

DirtyLogShared* UseDirtyLog(DatabaseShared* database) {
  if (!DsaPointerIsValid(database->dirty_log.Load())) return nullptr;
  if (FreeUnusedLog(database))
    written_log = nullptr;
  else if (written_log == nullptr)
    written_log = TakeLog(database);
  return written_log;
}

}  // namespace live_queries
