// Writes and reads such records. Process: decoder (writes), evaluator (reads).
#include "registry/dirty_record.hpp"

#include "pg/memory.hpp"

extern "C" {
#include "utils/datum.h"
}

namespace live_queries {
namespace {

// In front of a row's values, or alone.
struct EntryHead {
  DirtyKind kind;
  uint32 subject;  // the watch of a row, or the table
  uint32 bytes;
};

bool IsRow(DirtyKind kind) { return kind == DirtyKind::kRow || kind == DirtyKind::kNewRow; }

size_t SubxidBytes(uint32 count) { return MAXALIGN(sizeof(TransactionId) * count); }

}  // namespace

DirtyTransaction ReadDirtyRecord(char* bytes) {
  const auto* record = reinterpret_cast<DirtyRecordShared*>(bytes);
  char* subxids = bytes + MAXALIGN(sizeof(DirtyRecordShared));
  return {record, reinterpret_cast<TransactionId*>(subxids),
          subxids + SubxidBytes(record->subxid_count), bytes + record->bytes};
}

bool NextDirtyEntry(const DirtyTransaction& transaction, char** at, DirtyEntry* entry) {
  // What is left is padding if no entry fits.
  EntryHead head;
  if (*at + sizeof(head) > transaction.end) return false;
  memcpy(&head, *at, sizeof(head));
  *at += sizeof(head);
  const bool row = IsRow(head.kind);
  *entry = {head.kind,  row, row ? head.subject : 0, row ? InvalidOid : head.subject,
            head.bytes, *at};
  *at += head.bytes;
  return true;
}

void DirtyRecordBuilder::Init(MemoryContext context, size_t limit) {
  context_ = context;
  limit_ = limit;
  InMemoryContext(context, [&] {
    initStringInfo(&entries_);
    initStringInfo(&record_);
  });
  tables_ = NIL;
  Clear();
}

void DirtyRecordBuilder::Clear() {
  resetStringInfo(&entries_);
  last_ = 0;
  whole_ = false;
  list_free(tables_);
  tables_ = NIL;
}

// False if it was known.
bool DirtyRecordBuilder::NoteTable(Oid relation) {
  if (tables_ != NIL && llast_oid(tables_) == relation) return false;
  if (list_member_oid(tables_, relation)) return false;
  InMemoryContext(context_, [&] { tables_ = lappend_oid(tables_, relation); });
  return true;
}

// A row that is changed again and again, an update that leaves the identity as it was, a table of
// which the same is said for each row. What was said first stays: one that was inserted first was
// not there before, one that was deleted and inserted again was.
bool DirtyRecordBuilder::RepeatsLast(uint32 start) const {
  const uint32 length = static_cast<uint32>(entries_.len) - start;
  if (start - last_ != length) return false;
  EntryHead last;
  EntryHead head;
  memcpy(&last, entries_.data + last_, sizeof(last));
  memcpy(&head, entries_.data + start, sizeof(head));
  return (last.kind == head.kind || (IsRow(last.kind) && IsRow(head.kind))) &&
         memcmp(entries_.data + last_ + sizeof(head.kind),
                entries_.data + start + sizeof(head.kind), length - sizeof(head.kind)) == 0;
}

void DirtyRecordBuilder::KeepUnlessRepeated(uint32 start) {
  if (RepeatsLast(start))
    entries_.len = static_cast<int>(start);
  else
    last_ = start;
  if (!whole_ && static_cast<size_t>(entries_.len) > limit_) TellTablesAsWhole();
}

void DirtyRecordBuilder::AddRow(DirtyKind kind, uint32 watch, Oid relation, const Datum* values,
                                const int16* lengths, const bool* by_value, int count) {
  const bool is_new = NoteTable(relation);
  if (whole_) {
    if (is_new) AddTable(DirtyKind::kRows, relation);
    return;
  }
  Size bytes = 0;
  for (int i = 0; i < count; ++i)
    bytes += datumEstimateSpace(values[i], false, by_value[i], lengths[i]);
  const EntryHead head = {kind, watch, static_cast<uint32>(bytes)};
  const uint32 start = static_cast<uint32>(entries_.len);
  enlargeStringInfo(&entries_, static_cast<int>(sizeof(head) + bytes));
  appendBinaryStringInfo(&entries_, reinterpret_cast<const char*>(&head), sizeof(head));
  char* end = entries_.data + entries_.len;
  for (int i = 0; i < count; ++i) datumSerialize(values[i], false, by_value[i], lengths[i], &end);
  entries_.len = static_cast<int>(end - entries_.data);
  KeepUnlessRepeated(start);
}

void DirtyRecordBuilder::AddTable(DirtyKind kind, Oid relation) {
  const EntryHead head = {kind, relation, 0};
  const uint32 start = static_cast<uint32>(entries_.len);
  appendBinaryStringInfo(&entries_, reinterpret_cast<const char*>(&head), sizeof(head));
  KeepUnlessRepeated(start);
}

// What is not about rows stays, each once.
void DirtyRecordBuilder::TellTablesAsWhole() {
  const StringInfoData told = entries_;
  const DirtyTransaction all = {nullptr, nullptr, told.data, told.data + told.len};
  InMemoryContext(context_, [&] { initStringInfo(&entries_); });
  last_ = 0;
  whole_ = true;
  DirtyEntry entry;
  for (char* at = all.entries; NextDirtyEntry(all, &at, &entry);) {
    if (entry.kind == DirtyKind::kRows)
      (void)NoteTable(entry.relation);
    else if (!entry.row)
      AddTable(entry.kind, entry.relation);
  }
  ListCell* cell;
  foreach (cell, tables_) AddTable(DirtyKind::kRows, lfirst_oid(cell));
  pfree(told.data);
}

const DirtyRecordShared* DirtyRecordBuilder::Finish(const DirtyCommit& commit) {
  DirtyRecordShared head = {};
  head.too_many_subxids = commit.subxid_count > kMaxDirtySubxids;
  head.subxid_count = head.too_many_subxids ? 0 : static_cast<uint32>(commit.subxid_count);
  const size_t before = MAXALIGN(sizeof(head)) + SubxidBytes(head.subxid_count);
  head.bytes = static_cast<uint32>(MAXALIGN(before + static_cast<size_t>(entries_.len)));
  head.xid = commit.xid;
  head.commit_end = commit.end;
  head.committed_at = commit.committed_at;
  head.catalogs_changed = commit.catalogs_changed;
  resetStringInfo(&record_);
  enlargeStringInfo(&record_, static_cast<int>(head.bytes));
  // Padding is not what somebody else left in the memory.
  memset(record_.data, 0, head.bytes);
  memcpy(record_.data, &head, sizeof(head));
  if (head.subxid_count > 0)
    memcpy(record_.data + MAXALIGN(sizeof(head)), commit.subxids,
           sizeof(TransactionId) * head.subxid_count);
  memcpy(record_.data + before, entries_.data, static_cast<size_t>(entries_.len));
  return reinterpret_cast<const DirtyRecordShared*>(record_.data);
}

}  // namespace live_queries
