// Two arrays beside each other, and the records that they point to. Process: evaluator.
#include "evaluate/pending_transactions.hpp"

#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "registry/database.hpp"
#include "registry/dirty_log_users.hpp"

extern "C" {
#include "storage/ipc.h"
}

namespace live_queries {
namespace {

constexpr size_t kFirstCapacity = 256;
// Where a commit is not visible for very long, what comes after it is not kept for ever.
constexpr size_t kMostBytes = 64 * 1024 * 1024;

DatabaseShared* database = nullptr;
int consumer = 0;
DirtyLogCursor cursor = {};
DirtyLogShared* log = nullptr;

MemoryContext records_context = nullptr;
Commit* commits = nullptr;
DirtyTransaction* transactions = nullptr;
size_t count = 0;
size_t capacity = 0;
size_t bytes = 0;

template <class Item>
void Enlarge(Item** items, size_t grown) {
  auto* larger = static_cast<Item*>(MemoryContextAllocHuge(TopMemoryContext, sizeof(Item) * grown));
  if (*items != nullptr) {
    memcpy(larger, *items, sizeof(Item) * count);
    pfree(*items);
  }
  *items = larger;
}

void Grow() {
  const size_t grown = capacity == 0 ? kFirstCapacity : capacity * 2;
  Enlarge(&commits, grown);
  Enlarge(&transactions, grown);
  capacity = grown;
}

void Note(const DirtyTransaction& transaction) {
  if (count == capacity) Grow();
  const DirtyRecordShared& record = *transaction.record;
  // Those that the record leaves out are more than anybody hides.
  const bool left_out = record.too_many_subxids;
  commits[count] = {record.commit_end, record.xid, left_out ? nullptr : transaction.subxids,
                    left_out ? kMostHidden + 1 : static_cast<int>(record.subxid_count)};
  transactions[count] = transaction;
  bytes += record.bytes;
  ++count;
}

void ForgetAll() {
  MemoryContextReset(records_context);
  count = 0;
  bytes = 0;
}

void Leave(int, Datum) {
  DirtyLogShared* left = log;
  log = nullptr;
  LeaveDirtyLog(database, left, consumer);
}

}  // namespace

void OpenPending(DatabaseShared* of_database, int of_consumer) {
  database = of_database;
  consumer = of_consumer;
  records_context = AllocSetContextCreate(TopMemoryContext, "live_queries pending transactions",
                                          ALLOCSET_DEFAULT_SIZES);
  log = JoinDirtyLog(database, consumer);
  before_shmem_exit(Leave, 0);
  cursor = OpenDirtyLog(log);
}

DirtyLogShared* PendingLog() { return log; }

bool PendingReaches(XLogRecPtr position) {
  return AwaitDirtyLog(database, log, consumer, position);
}

bool ReadPending() {
  LIVE_QUERIES_FAULT("evaluator-read");
  return InMemoryContext(records_context, [] {
    for (;;) {
      DirtyTransaction transaction;
      switch (ReadDirtyLog(&cursor, &transaction)) {
        case DirtyRead::kNothing:
          if (bytes <= kMostBytes) return true;
          ForgetAll();
          return false;
        case DirtyRead::kLapped:
          if (LIVE_QUERIES_MUTATION("ignore_lapse")) break;
          ForgetAll();
          return false;
        case DirtyRead::kTransaction:
          Note(transaction);
          break;
      }
    }
  });
}

std::span<const Commit> PendingCommits() { return {commits, count}; }

std::span<const DirtyTransaction> PendingTransactions() { return {transactions, count}; }

void ForgetPending(XLogRecPtr position) {
  size_t forgotten = 0;
  for (; forgotten < count && commits[forgotten].position <= position; ++forgotten) {
    bytes -= transactions[forgotten].record->bytes;
    pfree(const_cast<DirtyRecordShared*>(transactions[forgotten].record));
  }
  count -= forgotten;
  if (forgotten == 0 || count == 0) return;
  memmove(commits, commits + forgotten, sizeof(Commit) * count);
  memmove(transactions, transactions + forgotten, sizeof(DirtyTransaction) * count);
}

}  // namespace live_queries
