// One transaction in the dirty log: its xids, position and time, and which rows of watched tables
// it has changed. A row is named by its identity, the values of the columns that somebody watches
// it by, in the server's own form for parallel workers (datumSerialize): short, the same in every
// process, and right for any type of a stored column. Process: decoder (writes), evaluator (reads).
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "access/xlogdefs.h"
#include "nodes/bitmapset.h"
}

namespace live_queries {

enum class DirtyKind : uint32 {
  kRow,       // an identity, old or new
  kNewRow,    // that of a row which was inserted
  kRows,      // any rows: which ones was not logged, or they are too many
  kTruncate,  // all rows have left
  kRewrite,   // the table has another storage, and what has become of its rows is not known
  kChildren,  // it has other partitions or children, whose rows came or went with them
};

struct DirtyEntry {
  DirtyKind kind;
  bool row;      // kRow or kNewRow
  uint32 watch;  // of a row: the number of the watch that names its table and columns
  Oid relation;  // of anything else: the table
  uint32 bytes;  // of a row: how long its values are
  char* values;  // those of the columns, for datumRestore
};

// In the ring. Then the subtransactions' xids, then the entries.
struct DirtyRecordShared {
  uint32 bytes;  // with all that follows; a multiple of 8
  TransactionId xid;
  uint64 commit_end;  // end of the commit record
  TimestampTz committed_at;
  uint32 subxid_count;    // those that have changed something
  bool too_many_subxids;  // they are left out
  bool catalogs_changed;  // in a way that the caches of others are told of
};

// More of them are not written: nobody hides a transaction with so many from a snapshot.
inline constexpr uint32 kMaxDirtySubxids = 512;

// A transaction as it was read.
struct DirtyTransaction {
  const DirtyRecordShared* record;
  const TransactionId* subxids;
  char* entries;
  char* end;
};

DirtyTransaction ReadDirtyRecord(char* bytes);
// The next one from `*at` on, which begins at `entries`; false at the end.
bool NextDirtyEntry(const DirtyTransaction& transaction, char** at, DirtyEntry* entry);

// What a record says of the transaction beside its rows.
struct DirtyCommit {
  TransactionId xid;
  const TransactionId* subxids;
  uint64 subxid_count;
  uint64 end;  // of the commit record
  TimestampTz committed_at;
  bool catalogs_changed;
};

// Collects the record of one transaction. Its memory is used again for the next one.
class DirtyRecordBuilder {
 public:
  // Lives in `context`. No record is longer than about `limit` bytes: past it, tables are told as
  // a whole.
  void Init(MemoryContext context, size_t limit);

  // `kind`: kRow or kNewRow.
  void AddRow(DirtyKind kind, uint32 watch, Oid relation, const Datum* values, const int16* lengths,
              const bool* by_value, int count);
  void AddTable(DirtyKind kind, Oid relation);

  // The whole record, valid until the next Add.
  const DirtyRecordShared* Finish(const DirtyCommit& commit);
  void Clear();

 private:
  bool NoteTable(Oid relation);
  bool RepeatsLast(uint32 start) const;
  void KeepUnlessRepeated(uint32 start);
  void TellTablesAsWhole();

  MemoryContext context_;
  StringInfoData entries_;
  StringInfoData record_;
  size_t limit_;
  uint32 last_;   // where the last entry begins
  bool whole_;    // rows are not told any more
  List* tables_;  // oids of those with rows
};

}  // namespace live_queries
