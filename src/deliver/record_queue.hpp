// A queue of records in one backend's own memory, past live_queries.mailbox_size of all queues in
// a temporary file: what waits for the commit, for a snapshot to be read, for a resume or for
// live.poll. Only Append, Read, Peek and LookAtUnread ereport. Process: client backend.
#pragma once

#include "model/mailbox_record.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "storage/fd.h"
}

namespace live_queries {

// What was read can be read again until it is forgotten. The records are in a memory context of
// their own, from the first one on: most queues never have one.
class RecordQueue {
  struct Node;

 public:
  // An empty queue in `parent`.
  static RecordQueue* Create(MemoryContext parent);
  // Frees the queue and its file.
  void Destroy();

  void Append(const RecordHeader& header, std::string_view body);
  // The next record; its body is valid until the next call of anything but Peek and Append.
  bool Read(RecordView* record);
  // The header of what Read will give; false if there is none.
  bool Peek(RecordHeader* header);
  // Shows all that was not read, and still is not: a body lasts as long as its call of `visit`.
  void LookAtUnread(void (*visit)(const RecordView&, void*), void* context) const;
  template <class Visit>
  void LookAtUnread(Visit&& visit) const {
    LookAtUnread([](const RecordView& record,
                    void* body) { (*static_cast<std::remove_reference_t<Visit>*>(body))(record); },
                 &visit);
  }
  // Lets go of all that was read, or of the oldest record, which was read and has that header.
  void ForgetRead();
  void ForgetOldest(const RecordHeader& header);
  // Reads again from the first record that is not forgotten.
  void Rewind();
  // Throws away all that was not read.
  void DiscardUnread();

  // How far it is read. What was read since can be read again by going back there, as long as
  // nothing was forgotten.
  struct ReadPosition {
    const Node* last_read;
    off_t in_file;
    uint64_t file_read;
    size_t file_read_bytes;
    uint64_t read_count;
  };
  ReadPosition read_position() const;
  void ReturnTo(const ReadPosition& position);

  // Where the next record goes. CutBack throws away what was appended since, none of which was
  // read.
  struct WritePosition {
    const Node* last;
    off_t in_file;
    uint64_t file_records;
    size_t file_bytes;
    uint64_t unread;
  };
  WritePosition write_position() const;
  void CutBack(const WritePosition& position);

  // How many records were not read yet.
  uint64_t unread() const { return unread_; }
  // Nothing in it, but for what was forgotten.
  bool empty() const { return unread_ == 0 && read_count_ == 0; }

  // Body bytes of what is not forgotten, in all queues, but for what counts elsewhere.
  static size_t TotalBytes();
  // So many of what was not read were copied to another queue, and do not count here as long as
  // they are there: until CountHere, or the end of either.
  void CountElsewhere(size_t bytes);
  void CountHere();

 private:
  MemoryContext Context();
  void AppendToFile(const RecordHeader& header, std::string_view body);
  void ReadHeaderFromFile(RecordHeader* header);
  void ReadFromFile(RecordView* record);
  void ForgetInFile(uint64_t records, size_t bytes);
  void CloseFile();
  Node* NextNode() const;
  void FreeFirst();
  void FreeBehind(Node* node);

  MemoryContext parent_;
  MemoryContext context_;  // below that; nullptr: none yet
  Node* first_;
  Node* last_;
  Node* last_read_;  // of these; nullptr: none
  // Not a BufFile, which may ereport when it is closed.
  File file_;  // 0: none
  off_t read_;
  off_t forgotten_;
  off_t write_;
  uint64_t file_records_;   // not forgotten
  uint64_t file_read_;      // of these, read
  size_t file_bytes_;       // not forgotten
  size_t file_read_bytes_;  // of these, read
  uint64_t unread_;
  uint64_t read_count_;
  size_t elsewhere_;  // of those that were not read: body bytes that count there
  char* file_body_;   // of the record read last
};

}  // namespace live_queries
