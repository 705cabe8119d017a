// Reads the blocks of an inbox first, then what of the spill file belongs to it. Called by
// dispatch.cpp. Process: client backend.
#include "deliver/lane_reader.hpp"

#include "pg/fault.hpp"
#include "pg/memory.hpp"

namespace live_queries {

void LaneReader::Begin(int consumer, Inbox* inbox) {
  consumer_ = consumer;
  inbox_ = inbox;
  has_record_ = damaged_ = false;
  FreePiece();
  if (file_ > 0) FileClose(file_);
  file_ = 0;
}

const RecordView* LaneReader::Next() {
  if (!has_record_) has_record_ = NextInBlocks() || NextInFile();
  return has_record_ ? &record_ : nullptr;
}

void LaneReader::Accept(const RecordView& record, size_t bytes) {
  record_ = record;
  record_bytes_ = bytes;
  if (seq_ < record.header.seq) seq_ = record.header.seq;
}

// The file may be many times as large as a piece.
void LaneReader::FreePiece() {
  piece_ = {};
  if (memory_ != nullptr) MemoryContextReset(memory_);
}

void LaneReader::ReadPiece() {
  FreePiece();
  if (memory_ == nullptr)
    memory_ = AllocSetContextCreate(TopMemoryContext, "live_queries spilled messages",
                                    ALLOCSET_DEFAULT_SIZES);
  piece_ = InMemoryContext(memory_, [&] { return ReadSpill(file_, *inbox_); });
}

bool LaneReader::NextInBlocks() {
  while (DsaPointerIsValid(inbox_->block)) {
    const MailBlockShared* block = FromArea<MailBlockShared>(inbox_->block);
    RecordReader reader(RecordsOf(*block).subspan(inbox_->offset));
    if (const auto record = reader.Next([&](uint64_t number) { return BodyOf(*block, number); })) {
      Accept(*record, reader.offset());
      return true;
    }
    damaged_ = damaged_ || reader.corrupt();
    const dsa_pointer done = inbox_->block;
    inbox_->block = block->next;
    inbox_->offset = 0;
    FreeBlock(MyConnectionIfAny(), done);
  }
  return false;
}

bool LaneReader::NextInFile() {
  while (inbox_->spill_read < inbox_->spill_end) {
    if (file_ <= 0) {
      LIVE_QUERIES_FAULT("client-unspill");
      file_ = OpenSpillForReading(MyConnectionIfAny()->connection_id.Load(), consumer_);
    }
    const bool fresh = piece_.empty();
    if (fresh) ReadPiece();
    RecordReader reader(piece_);
    if (const auto record = reader.Next()) {
      Accept(*record, reader.offset());
      return true;
    }
    // The rest of a piece may be a part of a record.
    piece_ = {};
    if (!fresh) continue;
    damaged_ = true;
    inbox_->spill_read = inbox_->spill_end;
  }
  FreePiece();
  if (file_ <= 0) return false;
  FileClose(file_);
  file_ = 0;
  ReleaseSpill(MyConnectionIfAny(), consumer_, *inbox_);
  return false;
}

void LaneReader::Advance() {
  has_record_ = false;
  if (DsaPointerIsValid(inbox_->block)) {
    inbox_->offset += record_bytes_;
    return;
  }
  inbox_->spill_read += record_bytes_;
  piece_ = piece_.subspan(record_bytes_);
}

}  // namespace live_queries
