// An array that grows. Process: decoder, evaluator.
#include "registry/identity_watches.hpp"

#include "pg/locks.hpp"
#include "registry/database.hpp"
#include "registry/shared_memory.hpp"

namespace live_queries {
namespace {

constexpr uint32 kFirstCapacity = 64;

// The caller holds ControlLock for all of these.

std::span<IdentityWatchShared> Watches(const DirtyLogShared& log) {
  if (!DsaPointerIsValid(log.watches)) return {};
  return {FromArea<IdentityWatchShared>(log.watches), log.watch_capacity};
}

bool Is(const IdentityWatchShared& watch, Oid relation, const List* columns) {
  if (watch.number == 0 || watch.relation != relation || watch.column_count != list_length(columns))
    return false;
  for (int i = 0; i < watch.column_count; ++i)
    if (watch.columns[i] != list_nth_int(columns, i)) return false;
  return true;
}

bool IsUsed(const IdentityWatchShared& watch) {
  for (const uint32 count : watch.users)
    if (count > 0) return true;
  return false;
}

void Set(IdentityWatchShared* watch, uint32 number, Oid relation, const List* columns) {
  *watch = {};
  watch->number = number;
  watch->relation = relation;
  watch->column_count = static_cast<int16>(list_length(columns));
  for (int i = 0; i < watch->column_count; ++i)
    watch->columns[i] = static_cast<int16>(list_nth_int(columns, i));
}

// The watch of these columns, made if there is a place; nullptr: there is none.
IdentityWatchShared* FindOrAdd(DirtyLogShared* log, Oid relation, const List* columns) {
  IdentityWatchShared* unused = nullptr;
  for (IdentityWatchShared& watch : Watches(*log)) {
    if (Is(watch, relation, columns)) return &watch;
    if (watch.number == 0) unused = &watch;
  }
  if (unused == nullptr) return nullptr;
  Set(unused, ++log->last_watch, relation, columns);
  return unused;
}

// Moves the list to a larger place. Returns the old one.
dsa_pointer MoveTo(DirtyLogShared* log, dsa_pointer larger, uint32 capacity) {
  IdentityWatchShared* places = FromArea<IdentityWatchShared>(larger);
  const std::span<IdentityWatchShared> watches = Watches(*log);
  memset(places, 0, sizeof(IdentityWatchShared) * capacity);
  if (!watches.empty()) memcpy(places, watches.data(), watches.size_bytes());
  const dsa_pointer old = log->watches;
  log->watches = larger;
  log->watch_capacity = capacity;
  return old;
}

dsa_pointer AllocateWatches(uint32 capacity) {
  const dsa_pointer larger = AllocateShared(sizeof(IdentityWatchShared) * capacity);
  if (!DsaPointerIsValid(larger))
    ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY),
            errmsg("live_queries has no memory left to watch another table"),
            errhint("Consider increasing live_queries.memory_limit."));
  return larger;
}

// Unless somebody else has made it as large meanwhile.
void Grow(DirtyLogShared* log, uint32 capacity) {
  dsa_pointer unneeded = AllocateWatches(capacity);
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    if (log->watch_capacity < capacity) unneeded = MoveTo(log, unneeded, capacity);
  });
  if (DsaPointerIsValid(unneeded)) FreeShared(unneeded);
}

}  // namespace

uint32 WatchIdentity(DatabaseShared* database, DirtyLogShared* log, int consumer, Oid relation,
                     const List* columns) {
  for (;;) {
    uint32 capacity = 0;
    const uint32 number = WithLock(ControlLock(), LW_EXCLUSIVE, [&]() -> uint32 {
      capacity = log->watch_capacity;
      IdentityWatchShared* watch = FindOrAdd(log, relation, columns);
      if (watch == nullptr) return 0;
      // The decoder has to know whom to wake.
      if (watch->users[consumer]++ == 0) (void)log->watch_changes.Add(1);
      return watch->number;
    });
    if (number != 0) {
      WakeConsumer(database->consumers[kDecoderConsumer]);
      return number;
    }
    Grow(log, capacity == 0 ? kFirstCapacity : capacity * 2);
  }
}

void UnwatchIdentity(DatabaseShared* database, DirtyLogShared* log, int consumer, uint32 number) {
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    for (IdentityWatchShared& watch : Watches(*log)) {
      if (watch.number != number) continue;
      if (--watch.users[consumer] > 0) break;
      (void)log->watch_changes.Add(1);
      if (!IsUsed(watch)) watch.number = 0;
      break;
    }
  });
  WakeConsumer(database->consumers[kDecoderConsumer]);
}

bool IdentitiesAreWatched(const DirtyLogShared& log, uint64_t* since) {
  const uint64 changes = log.watch_changes.Load();
  if (log.watched_changes.Load() < changes) return false;
  pg_read_barrier();
  *since = log.watched_since.Load();
  return true;
}

void ForgetIdentityWatches(DirtyLogShared* log, int consumer) {
  WithLock(ControlLock(), LW_EXCLUSIVE, [&] {
    for (IdentityWatchShared& watch : Watches(*log)) {
      if (watch.number == 0 || watch.users[consumer] == 0) continue;
      watch.users[consumer] = 0;
      (void)log->watch_changes.Add(1);
      if (!IsUsed(watch)) watch.number = 0;
    }
  });
}

uint64 WatchChanges(const DirtyLogShared& log) { return log.watch_changes.Load(); }

IdentityWatches CopyIdentityWatches(const DirtyLogShared& log) {
  return WithLock(ControlLock(), LW_SHARED, [&] {
    IdentityWatches copy = {nullptr, 0, log.watch_changes.Load()};
    const std::span<IdentityWatchShared> watches = Watches(log);
    copy.watches = static_cast<IdentityWatchShared*>(
        palloc(sizeof(IdentityWatchShared) * (watches.size() + 1)));
    for (const IdentityWatchShared& watch : watches)
      if (watch.number != 0) copy.watches[copy.count++] = watch;
    return copy;
  });
}

void HeedIdentityWatches(DirtyLogShared* log, uint64 changes, uint64_t position) {
  log->watched_since.Store(position);
  pg_write_barrier();
  log->watched_changes.Store(changes);
}

}  // namespace live_queries
