// The ring: a record is written between two marks. `overwritten` is raised before the bytes are, so
// a reader that finds it behind its record after it has copied it has copied what it should;
// `written` is raised after them. Process: decoder (writes), evaluator (reads).
#include "registry/dirty_log.hpp"

#include "pg/fault.hpp"
#include "pg/settings.hpp"
#include "registry/database.hpp"
#include "registry/shared_memory.hpp"

namespace live_queries {
namespace {

constexpr uint32 kLargestRing = 4 * 1024 * 1024;
constexpr uint32 kSmallestRing = 64 * 1024;
// Of the memory of all live queries, and of the ring for one transaction.
constexpr uint32 kShareOfMemory = 64;
constexpr uint32 kRecordsInRing = 8;

uint32 RingBytes() {
  if (DirtyLogBytesUnderTest() > 0) return DirtyLogBytesUnderTest();
  const uint64 share = static_cast<uint64>(memory_limit_kb) * 1024 / kShareOfMemory;
  uint32 bytes = kLargestRing;
  while (bytes > kSmallestRing && bytes > share) bytes /= 2;
  return bytes;
}

// Bytes of the ring from `offset` on, to or from `bytes`.
template <class Copy>
void InPieces(const DirtyLogShared& log, uint64 offset, size_t count, Copy&& copy) {
  const size_t start = offset & (log.capacity - 1);
  const size_t first = count < log.capacity - start ? count : log.capacity - start;
  copy(start, 0, first);
  if (first < count) copy(0, first, count - first);
}

void CopyOut(const DirtyLogShared& log, uint64 offset, char* to, size_t count) {
  InPieces(log, offset, count,
           [&](size_t at, size_t done, size_t piece) { memcpy(to + done, log.data + at, piece); });
}

void CopyIn(DirtyLogShared* log, uint64 offset, const char* from, size_t count) {
  InPieces(*log, offset, count, [&](size_t at, size_t done, size_t piece) {
    memcpy(log->data + at, from + done, piece);
  });
}

bool IsLapped(const DirtyLogCursor& cursor) {
  pg_read_barrier();
  return cursor.offset < cursor.log->overwritten.Load();
}

DirtyRead Lapped(DirtyLogCursor* cursor) {
  cursor->offset = cursor->log->written.Load();
  return DirtyRead::kLapped;
}

}  // namespace

dsa_pointer MakeDirtyLog() {
  const uint32 bytes = RingBytes();
  const dsa_pointer pointer = AllocateShared(offsetof(DirtyLogShared, data) + bytes);
  if (!DsaPointerIsValid(pointer))
    ereport(ERROR, errcode(ERRCODE_OUT_OF_MEMORY),
            errmsg("live_queries has no memory left for another dirty log"),
            errhint("Consider increasing live_queries.memory_limit."));
  DirtyLogShared* log = FromArea<DirtyLogShared>(pointer);
  log->watches = InvalidDsaPointer;
  log->watch_capacity = 0;
  log->last_watch = 0;
  log->capacity = bytes;
  for (Atomic<uint64_t>* number : {&log->watch_changes, &log->watched_changes, &log->watched_since,
                                   &log->written, &log->overwritten, &log->complete})
    number->Init(0);
  for (Atomic<uint64_t>& position : log->awaited) position.Init(0);
  return pointer;
}

void FreeDirtyLog(dsa_pointer pointer) {
  const DirtyLogShared* log = FromArea<DirtyLogShared>(pointer);
  if (DsaPointerIsValid(log->watches)) FreeShared(log->watches);
  FreeShared(pointer);
}

void BreakDirtyLog(DirtyLogShared* log) {
  const uint64 end = log->written.Load() + log->capacity;
  (void)log->overwritten.Exchange(end);
  (void)log->written.Exchange(end);
}

DirtyLogCursor OpenDirtyLog(const DirtyLogShared* log) { return {log, log->written.Load()}; }

DirtyRead ReadDirtyLog(DirtyLogCursor* cursor, DirtyTransaction* transaction) {
  const DirtyLogShared& log = *cursor->log;
  // A new decoder raises `overwritten` first: then there may be nothing to read, and yet a gap.
  const uint64 end = log.written.Load();
  if (IsLapped(*cursor)) return Lapped(cursor);
  if (cursor->offset == end) return DirtyRead::kNothing;
  uint32 bytes;
  CopyOut(log, cursor->offset, reinterpret_cast<char*>(&bytes), sizeof(bytes));
  if (IsLapped(*cursor)) return Lapped(cursor);
  char* record = static_cast<char*>(palloc(bytes));
  CopyOut(log, cursor->offset, record, bytes);
  if (IsLapped(*cursor)) {
    pfree(record);
    return Lapped(cursor);
  }
  cursor->offset += bytes;
  *transaction = ReadDirtyRecord(record);
  return DirtyRead::kTransaction;
}

uint64_t DirtyLogPosition(const DirtyLogShared& log) {
  const uint64 position = log.complete.Load();
  pg_read_barrier();
  return position;
}

bool AwaitDirtyLog(DatabaseShared* database, DirtyLogShared* log, int consumer, uint64_t position) {
  if (log->complete.Load() >= position) return true;
  Atomic<uint64_t>& awaited = log->awaited[consumer];
  (void)awaited.Exchange(position);
  if (log->complete.Load() >= position) {
    awaited.Store(0);
    return true;
  }
  // What is not flushed cannot be decoded.
  database->commit_lsn.Raise(position);
  WakeConsumer(database->consumers[kDecoderConsumer]);
  return false;
}

size_t DirtyRecordLimit(const DirtyLogShared& log) { return log.capacity / kRecordsInRing; }

void WriteDirtyLog(DirtyLogShared* log, const DirtyRecordShared& record) {
  const uint64 start = log->written.Load();
  const uint64 end = start + record.bytes;
  if (end > log->capacity) {
    log->overwritten.Raise(end - log->capacity);
    pg_write_barrier();
  }
  CopyIn(log, start, reinterpret_cast<const char*>(&record), record.bytes);
  pg_write_barrier();
  log->written.Store(end);
}

void CompleteDirtyLog(DatabaseShared* database, DirtyLogShared* log, uint64_t position,
                      uint32 changed) {
  log->complete.Raise(position);
  pg_memory_barrier();
  for (ConsumerShared& consumer : database->consumers) {
    Atomic<uint64_t>& awaited = log->awaited[consumer.index];
    uint64 wanted = awaited.Load();
    const bool arrived = wanted != 0 && wanted <= position && awaited.Replace(&wanted, 0);
    if (arrived || (changed & ConsumerBit(consumer.index)) != 0) WakeConsumer(consumer);
  }
}

}  // namespace live_queries
