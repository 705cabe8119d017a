// A queue of records in one backend's own memory, past live_queries.mailbox_size in a temporary
// file. Holds what waits for a snapshot, a pause or live.poll. What is called at the end of a
// transaction never ereports: Destroy, ForgetRead, Clear, ReturnTo. Process: client backend.
#pragma once

#include "model/mailbox_record.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "storage/fd.h"
}

namespace live_queries {

// Lives in its own memory context. What was read can be read again until it is forgotten.
class RecordQueue {
  struct Node;

 public:
  // An empty queue in a new child of `parent`.
  static RecordQueue* Create(MemoryContext parent);
  // Frees the queue and its file.
  void Destroy();

  void Append(const RecordHeader& header, std::string_view body);
  // The next record; its body is valid until the next call of Read, ForgetRead or Clear.
  bool Read(RecordView* record);
  // The header of what Read will give; false if there is none.
  bool Peek(RecordHeader* header);
  // Lets go of all that was read.
  void ForgetRead();
  // Reads again from the first record that is not forgotten.
  void Rewind();
  void Clear();

  // How far it is read. Going back there never fails, as long as it was only read meanwhile.
  struct ReadPosition {
    Node* next;
    off_t in_file;
    uint64_t file_read;
    size_t file_read_bytes;
    uint64_t unread;
    uint64_t read_count;
  };
  ReadPosition read_position() const;
  void ReturnTo(const ReadPosition& position);

  // Body bytes of what is not forgotten, and how many records were not read yet.
  size_t bytes() const { return bytes_; }
  uint64_t unread() const { return unread_; }
  // How many were read and not forgotten.
  uint64_t read_count() const { return read_count_; }
  bool empty() const { return unread_ == 0 && read_count_ == 0; }

 private:
  void AppendToFile(const RecordHeader& header, std::string_view body);
  void ReadHeaderFromFile(RecordHeader* header);
  void ReadFromFile(RecordView* record);
  void CloseFile();
  void FreeNode(Node* node);

  MemoryContext context_;
  Node* first_;
  Node* last_;
  Node* next_;  // to read; nullptr: go on in the file
  // Not a BufFile, which may ereport when it is closed.
  File file_;  // 0: none
  off_t read_;
  off_t forgotten_;
  off_t write_;
  uint64_t file_records_;   // not forgotten
  uint64_t file_read_;      // of these, read
  size_t file_read_bytes_;  // in those
  size_t memory_bytes_;
  size_t bytes_;
  uint64_t unread_;
  uint64_t read_count_;
  char* file_body_;  // of the record read last
};

}  // namespace live_queries
