// The rows of watched tables that one decoded transaction changed, as the output plugin copied
// them; past live_queries.transaction_memory they wait in a temporary file. Process: decoder.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "access/htup.h"
#include "access/tupdesc.h"
#include "access/xlogdefs.h"
#include "nodes/pg_list.h"
#include "storage/buffile.h"
}

namespace live_queries {

// kRewrite: a table has another storage, and what has become of its rows is not known.
enum class ChangeKind : uint8_t { kInsert, kUpdate, kDelete, kTruncate, kRewrite };

// Whether a change is about tables, not about rows.
inline bool IsAboutTables(ChangeKind kind) { return kind >= ChangeKind::kTruncate; }

// What a table's rows looked like when they were written: its columns at that point of the log.
// Kept until no transaction needs it any more.
struct RowShape {
  RowShape* next;
  Oid relation;
  uint32 number;  // unique; the decoder never reuses it
  TupleDesc descriptor;
  bool full_identity;  // old rows were logged whole; else these columns of them, or nothing
  List* identity;      // attribute numbers of the replica identity's index
  List* primary_key;   // attribute numbers; NIL: nothing kept rows from having the same key
  bool is_partition;
};

struct Change {
  ChangeKind kind;
  RowShape* shape;        // of both rows; nullptr if about tables
  HeapTupleData old_row;  // t_data nullptr: not logged
  HeapTupleData new_row;
  // If about tables: which.
  const Oid* tables;
  int table_count;
};

// Lives in a memory context of its own, a child of the decoder's.
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

  ChangeBatch* next;  // in the decoder's queue
  TransactionId xid;
  XLogRecPtr commit_end;  // end of the commit record
  TimestampTz committed_at;

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
