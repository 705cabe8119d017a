// How a batch keeps its changes: a list of entries in memory, or, when they take too much of it,
// the same bytes one after the other in a temporary file. Process: decoder.
#include "decode/change_batch.hpp"

#include "pg/compat.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "pg/settings.hpp"

extern "C" {
#include "access/htup_details.h"
}

namespace live_queries {

// Header, then the old tuple's bytes, then the new one's (or the oids of truncated tables), each
// aligned: the tuples are used in place.
struct ChangeBatch::Entry {
  Entry* next;
  RowShape* shape;
  uint32 old_bytes;
  uint32 new_bytes;
  ChangeKind kind;

  char* Old() { return reinterpret_cast<char*>(this) + MAXALIGN(sizeof(Entry)); }
  char* New() { return Old() + MAXALIGN(old_bytes); }
  size_t Bytes() const {
    return MAXALIGN(sizeof(Entry)) + MAXALIGN(old_bytes) + MAXALIGN(new_bytes);
  }
};

ChangeBatch* ChangeBatch::Create(MemoryContext parent) {
  MemoryContext context =
      AllocSetContextCreate(parent, "live_queries change batch", ALLOCSET_SMALL_SIZES);
  ChangeBatch* batch = AllocateIn<ChangeBatch>(context);
  batch->context_ = context;
  batch->entries_ = context;
  return batch;
}

void ChangeBatch::Destroy() {
  if (file_ != nullptr) BufFileClose(file_);
  MemoryContextDelete(context_);
}

ChangeBatch::Entry* ChangeBatch::NewEntry(ChangeKind kind, RowShape* shape, size_t old_bytes,
                                          size_t new_bytes) {
  const size_t bytes = MAXALIGN(sizeof(Entry)) + MAXALIGN(old_bytes) + MAXALIGN(new_bytes);
  Entry* entry = static_cast<Entry*>(MemoryContextAllocExtended(entries_, bytes, MCXT_ALLOC_HUGE));
  // The padding goes to the file as well, and must not be what somebody else left in the memory.
  memset(entry, 0, sizeof(Entry));
  entry->shape = shape;
  entry->old_bytes = static_cast<uint32>(old_bytes);
  entry->new_bytes = static_cast<uint32>(new_bytes);
  entry->kind = kind;
  memset(entry->Old() + old_bytes, 0, MAXALIGN(old_bytes) - old_bytes);
  memset(entry->New() + new_bytes, 0, MAXALIGN(new_bytes) - new_bytes);
  return entry;
}

void ChangeBatch::Keep(Entry* entry) {
  ++count_;
  bytes_ += entry->Bytes();
  if (file_ != nullptr) {
    WriteBufFile(file_, entry, entry->Bytes());
    pfree(entry);
    return;
  }
  if (last_ == nullptr)
    first_ = entry;
  else
    last_->next = entry;
  last_ = entry;
  if (bytes_ > static_cast<size_t>(transaction_memory_kb) * 1024) MoveToFile();
}

void ChangeBatch::MoveToFile() {
  file_ = InMemoryContext(context_, [] { return BufFileCreateTemp(true); });
  LIVE_QUERIES_FAULT("decode-spill");
  while (first_ != nullptr) {
    Entry* entry = first_;
    first_ = entry->next;
    WriteBufFile(file_, entry, entry->Bytes());
    pfree(entry);
  }
  last_ = nullptr;
}

void ChangeBatch::Add(ChangeKind kind, RowShape* shape, HeapTuple old_row, HeapTuple new_row) {
  Entry* entry = NewEntry(kind, shape, old_row == nullptr ? 0 : old_row->t_len,
                          new_row == nullptr ? 0 : new_row->t_len);
  if (old_row != nullptr) memcpy(entry->Old(), old_row->t_data, old_row->t_len);
  if (new_row != nullptr) memcpy(entry->New(), new_row->t_data, new_row->t_len);
  Keep(entry);
}

void ChangeBatch::AddTables(ChangeKind kind, const Oid* tables, int count) {
  Entry* entry = NewEntry(kind, nullptr, 0, sizeof(Oid) * count);
  memcpy(entry->New(), tables, sizeof(Oid) * count);
  Keep(entry);
}

void ChangeBatch::Rewind() {
  position_ = first_;
  read_ = 0;
  if (file_ != nullptr) LIVE_QUERIES_FAULT("decode-unspill");
  if (file_ != nullptr && BufFileSeek(file_, 0, 0, SEEK_SET) != 0)
    elog(ERROR, "could not seek in a temporary file of live_queries");
}

bool ChangeBatch::Next(MemoryContext context, Change* change) {
  if (read_ == count_) return false;
  ++read_;
  if (file_ == nullptr) {
    Decode(position_, change);
    position_ = position_->next;
    return true;
  }
  Entry header;
  ReadBufFile(file_, &header, MAXALIGN(sizeof(Entry)));
  Entry* entry =
      static_cast<Entry*>(MemoryContextAllocExtended(context, header.Bytes(), MCXT_ALLOC_HUGE));
  *entry = header;
  ReadBufFile(file_, entry->Old(), header.Bytes() - MAXALIGN(sizeof(Entry)));
  Decode(entry, change);
  return true;
}

void ChangeBatch::Decode(Entry* entry, Change* change) {
  *change = Change{};
  change->kind = entry->kind;
  change->shape = entry->shape;
  if (IsAboutTables(entry->kind)) {
    change->tables = reinterpret_cast<const Oid*>(entry->New());
    change->table_count = static_cast<int>(entry->new_bytes / sizeof(Oid));
    return;
  }
  auto point_at = [](HeapTupleData* tuple, char* bytes, uint32 length) {
    tuple->t_len = length;
    tuple->t_data = length == 0 ? nullptr : reinterpret_cast<HeapTupleHeader>(bytes);
  };
  point_at(&change->old_row, entry->Old(), entry->old_bytes);
  point_at(&change->new_row, entry->New(), entry->new_bytes);
}

}  // namespace live_queries
