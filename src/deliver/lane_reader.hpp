// Reads one inbox of the mailbox, record by record. Process: client backend.
#pragma once

#include "deliver/mailbox.hpp"
#include "model/mailbox_record.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

// One for each lane, zero at first.
class LaneReader {
 public:
  // At the beginning of each delivery, for the last one has perhaps not come to its end; and of
  // what was taken.
  void Begin(int consumer, Inbox* inbox);
  // The record that is next; nullptr if none is left. What is damaged is passed by.
  const RecordView* Next();
  // By which that stands in the order: its own seq, or if it has none, that of what was before it.
  uint64_t seq() const { return seq_; }
  // It was handled. Until then it comes again after an error.
  void Advance();

  // Whether something damaged was passed by since Begin, or since this was asked.
  bool TakeDamage() {
    const bool damaged = damaged_;
    damaged_ = false;
    return damaged;
  }

 private:
  bool NextInBlocks();
  bool NextInFile();
  void Accept(const RecordView& record, size_t bytes);
  void FreePiece();
  void ReadPiece();

  Inbox* inbox_;
  uint64_t seq_;
  RecordView record_;
  size_t record_bytes_;               // that it takes where it stands
  std::span<const std::byte> piece_;  // what is left of a piece of the spill file
  MemoryContext memory_;              // of that
  File file_;                         // that, open as long as it is read; 0: none
  int consumer_;                      // whose lane it is
  bool has_record_;
  bool damaged_;
};

}  // namespace live_queries
