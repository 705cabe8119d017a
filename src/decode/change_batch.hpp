// The rows of watched tables that one decoded transaction changed, as the output plugin copied
// them; past live_queries.transaction_memory they wait in a temporary file. Process: decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "access/htup.h"
#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "storage/buffile.h"
}

namespace live_queries {

struct RowShape;

// kRewrite: a table has another storage, and what has become of its rows is not known.
// kChildren: it has other partitions or children, whose rows came or went with them.
enum class ChangeKind : uint8_t { kInsert, kUpdate, kDelete, kTruncate, kRewrite, kChildren };

// Whether a change is about tables, not about rows.
inline bool IsAboutTables(ChangeKind kind) { return kind >= ChangeKind::kTruncate; }

struct Change {
  ChangeKind kind;
  RowShape* shape;        // of both rows; nullptr if about tables
  HeapTupleData old_row;  // t_data nullptr: not logged
  HeapTupleData new_row;
  // If about tables: which.
  const Oid* tables;
  int table_count;
};

// Lives in a memory context of its own.
class ChangeBatch {
 public:
  static ChangeBatch* Create(MemoryContext parent);
  // Frees it, and its file.
  void Destroy();

  void Add(ChangeKind kind, RowShape* shape, HeapTuple old_row, HeapTuple new_row);
  void AddTables(ChangeKind kind, const Oid* tables, int count);

  // Reads from the first change; what has been added is in the file then, if there is one.
  void Rewind();
  // The next change; false at the end. Valid until `context` is reset, which the caller does
  // between pieces of its own choice.
  bool Next(MemoryContext context, Change* change);

  uint64 count() const { return count_; }
  size_t bytes() const { return bytes_; }

  ChangeBatch* next;  // in the queue of ready transactions
  TransactionId xid;
  XLogRecPtr commit_end;  // end of the commit record
  TimestampTz committed_at;
  bool tells;  // decode/recent_commits.hpp

 private:
  struct Entry;
  Entry* NewEntry(ChangeKind kind, RowShape* shape, size_t old_bytes, size_t new_bytes);
  void Keep(Entry* entry);
  void MoveToFile();
  static void Decode(Entry* entry, Change* change);

  MemoryContext context_;
  MemoryContext entries_;
  Entry* first_;
  Entry* last_;
  Entry* position_;
  BufFile* file_;
  uint64 count_;
  uint64 read_;
  size_t bytes_;
};

}  // namespace live_queries
