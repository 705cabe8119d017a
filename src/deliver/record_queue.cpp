// How a queue keeps its records: the first ones in memory, those that follow in a temporary file;
// what was read stays until ForgetRead, so that a rollback reads it again. Process: client backend.
#include "deliver/record_queue.hpp"

#include "pg/files.hpp"
#include "pg/memory.hpp"
#include "pg/settings.hpp"

namespace live_queries {

struct RecordQueue::Node {
  Node* next;
  RecordHeader header;
  char body[FLEXIBLE_ARRAY_MEMBER];
};

RecordQueue* RecordQueue::Create(MemoryContext parent) {
  MemoryContext context =
      AllocSetContextCreate(parent, "live_queries record queue", ALLOCSET_SMALL_SIZES);
  RecordQueue* queue = AllocateIn<RecordQueue>(context);
  queue->context_ = context;
  return queue;
}

void RecordQueue::Destroy() {
  CloseFile();
  MemoryContextDelete(context_);
}

void RecordQueue::Append(const RecordHeader& header, std::string_view body) {
  const size_t limit = static_cast<size_t>(mailbox_size_kb) * 1024;
  if (file_ > 0 || memory_bytes_ + body.size() > limit) {
    AppendToFile(header, body);
  } else {
    Node* node = static_cast<Node*>(
        MemoryContextAllocExtended(context_, offsetof(Node, body) + body.size(), MCXT_ALLOC_HUGE));
    node->next = nullptr;
    node->header = header;
    memcpy(node->body, body.data(), body.size());
    if (last_ == nullptr)
      first_ = node;
    else
      last_->next = node;
    last_ = node;
    if (next_ == nullptr) next_ = node;
    memory_bytes_ += body.size();
  }
  bytes_ += body.size();
  ++unread_;
}

bool RecordQueue::Read(RecordView* record) {
  if (unread_ == 0) return false;
  if (next_ != nullptr) {
    record->header = next_->header;
    record->body = {next_->body, next_->header.body_bytes};
    next_ = next_->next;
  } else {
    ReadFromFile(record);
  }
  --unread_;
  ++read_count_;
  return true;
}

bool RecordQueue::Peek(RecordHeader* header) {
  if (unread_ == 0) return false;
  if (next_ != nullptr)
    *header = next_->header;
  else
    ReadHeaderFromFile(header);
  return true;
}

void RecordQueue::ForgetRead() {
  read_count_ = 0;
  while (first_ != next_) {
    Node* node = first_;
    first_ = node->next;
    FreeNode(node);
  }
  if (first_ == nullptr) last_ = nullptr;
  if (file_ <= 0) return;
  file_records_ -= file_read_;
  bytes_ -= file_read_bytes_;
  file_read_ = 0;
  file_read_bytes_ = 0;
  forgotten_ = read_;
  if (file_records_ == 0) CloseFile();
}

void RecordQueue::Rewind() {
  uint64_t in_memory = 0;
  for (Node* node = first_; node != nullptr; node = node->next) ++in_memory;
  next_ = first_;
  read_ = forgotten_;
  file_read_ = 0;
  file_read_bytes_ = 0;
  unread_ = in_memory + file_records_;
  read_count_ = 0;
}

RecordQueue::ReadPosition RecordQueue::read_position() const {
  return {next_, read_, file_read_, file_read_bytes_, unread_, read_count_};
}

void RecordQueue::ReturnTo(const ReadPosition& position) {
  next_ = position.next;
  read_ = position.in_file;
  file_read_ = position.file_read;
  file_read_bytes_ = position.file_read_bytes;
  unread_ = position.unread;
  read_count_ = position.read_count;
}

void RecordQueue::Clear() {
  while (first_ != nullptr) {
    Node* node = first_;
    first_ = node->next;
    FreeNode(node);
  }
  last_ = nullptr;
  next_ = nullptr;
  CloseFile();
  bytes_ = 0;
  unread_ = 0;
  read_count_ = 0;
}

void RecordQueue::FreeNode(Node* node) {
  memory_bytes_ -= node->header.body_bytes;
  bytes_ -= node->header.body_bytes;
  pfree(node);
}

void RecordQueue::AppendToFile(const RecordHeader& header, std::string_view body) {
  if (file_ <= 0) file_ = OpenTemporaryFile(true);
  WriteWhole(file_, &header, sizeof(header), write_);
  const off_t start = write_ + static_cast<off_t>(sizeof(header));
  WriteWhole(file_, body.data(), body.size(), start);
  write_ = start + static_cast<off_t>(body.size());
  ++file_records_;
}

void RecordQueue::ReadHeaderFromFile(RecordHeader* header) {
  ReadWhole(file_, header, sizeof(*header), read_);
}

void RecordQueue::ReadFromFile(RecordView* record) {
  ReadHeaderFromFile(&record->header);
  if (file_body_ != nullptr) pfree(file_body_);
  file_body_ = nullptr;
  const size_t size = record->header.body_bytes;
  file_body_ = static_cast<char*>(MemoryContextAllocExtended(context_, size + 1, MCXT_ALLOC_HUGE));
  const off_t start = read_ + static_cast<off_t>(sizeof(record->header));
  ReadWhole(file_, file_body_, size, start);
  record->body = {file_body_, size};
  read_ = start + static_cast<off_t>(size);
  ++file_read_;
  file_read_bytes_ += size;
}

void RecordQueue::CloseFile() {
  if (file_ > 0) FileClose(file_);
  if (file_body_ != nullptr) pfree(file_body_);
  file_ = 0;
  file_body_ = nullptr;
  read_ = forgotten_ = write_ = 0;
  file_records_ = file_read_ = 0;
  file_read_bytes_ = 0;
}

}  // namespace live_queries
