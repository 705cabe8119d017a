// How a queue keeps its records: the first ones in memory, those that follow in a temporary file;
// what was read stays until ForgetRead, so that a rollback reads it again. Process: client backend.
#include "deliver/record_queue.hpp"

#include "pg/files.hpp"
#include "pg/memory.hpp"
#include "pg/settings.hpp"

namespace live_queries {
namespace {

// In all queues of this backend: body bytes, and of these, in memory.
size_t total_bytes = 0;
size_t memory_bytes = 0;

}  // namespace

struct RecordQueue::Node {
  Node* next;
  RecordHeader header;
  char body[FLEXIBLE_ARRAY_MEMBER];
};

RecordQueue* RecordQueue::Create(MemoryContext parent) {
  RecordQueue* queue = AllocateIn<RecordQueue>(parent);
  queue->parent_ = parent;
  return queue;
}

void RecordQueue::Destroy() {
  CountHere();
  while (first_ != nullptr) FreeFirst();
  CloseFile();
  if (context_ != nullptr) MemoryContextDelete(context_);
  pfree(this);
}

MemoryContext RecordQueue::Context() {
  if (context_ == nullptr)
    context_ = AllocSetContextCreate(parent_, "live_queries record queue", ALLOCSET_SMALL_SIZES);
  return context_;
}

void RecordQueue::Append(const RecordHeader& header, std::string_view body) {
  const size_t limit = static_cast<size_t>(mailbox_size_kb) * 1024;
  if (file_ > 0 || memory_bytes + body.size() > limit) {
    AppendToFile(header, body);
  } else {
    Node* node = static_cast<Node*>(
        MemoryContextAllocExtended(Context(), offsetof(Node, body) + body.size(), MCXT_ALLOC_HUGE));
    node->next = nullptr;
    node->header = header;
    memcpy(node->body, body.data(), body.size());
    if (last_ == nullptr)
      first_ = node;
    else
      last_->next = node;
    last_ = node;
    memory_bytes += body.size();
  }
  total_bytes += body.size();
  ++unread_;
}

RecordQueue::Node* RecordQueue::NextNode() const {
  return last_read_ == nullptr ? first_ : last_read_->next;
}

bool RecordQueue::Read(RecordView* record) {
  if (unread_ == 0) return false;
  if (Node* next = NextNode()) {
    record->header = next->header;
    record->body = {next->body, next->header.body_bytes};
    last_read_ = next;
  } else {
    ReadFromFile(record);
  }
  --unread_;
  ++read_count_;
  return true;
}

bool RecordQueue::Peek(RecordHeader* header) {
  if (unread_ == 0) return false;
  if (const Node* next = NextNode())
    *header = next->header;
  else
    ReadHeaderFromFile(header);
  return true;
}

void RecordQueue::LookAtUnread(void (*visit)(const RecordView&, void*), void* context) const {
  for (const Node* node = NextNode(); node != nullptr; node = node->next)
    visit({node->header, {node->body, node->header.body_bytes}}, context);
  RecordHeader header;
  for (off_t at = read_; at < write_; at += static_cast<off_t>(header.body_bytes)) {
    ReadWhole(file_, &header, sizeof(header), at);
    at += static_cast<off_t>(sizeof(header));
    char* body =
        static_cast<char*>(palloc_extended(size_t{header.body_bytes} + 1, MCXT_ALLOC_HUGE));
    ReadWhole(file_, body, header.body_bytes, at);
    visit({header, {body, header.body_bytes}}, context);
    pfree(body);
  }
}

void RecordQueue::ForgetRead() {
  read_count_ = 0;
  while (last_read_ != nullptr) FreeFirst();
  ForgetInFile(file_read_, file_read_bytes_);
  forgotten_ = read_;
}

void RecordQueue::ForgetOldest(const RecordHeader& header) {
  --read_count_;
  if (first_ != nullptr) {
    FreeFirst();
    return;
  }
  forgotten_ += static_cast<off_t>(sizeof(header) + header.body_bytes);
  ForgetInFile(1, header.body_bytes);
}

void RecordQueue::Rewind() {
  unread_ += read_count_;
  read_count_ = 0;
  last_read_ = nullptr;
  read_ = forgotten_;
  file_read_ = 0;
  file_read_bytes_ = 0;
}

void RecordQueue::DiscardUnread() {
  CountHere();
  FreeBehind(last_read_);
  total_bytes -= file_bytes_ - file_read_bytes_;
  file_records_ = file_read_;
  file_bytes_ = file_read_bytes_;
  write_ = read_;
  unread_ = 0;
  // Otherwise there may be positions in it to return to.
  if (file_records_ == 0 && forgotten_ == 0) CloseFile();
}

RecordQueue::WritePosition RecordQueue::write_position() const {
  return {last_, write_, file_records_, file_bytes_, unread_};
}

void RecordQueue::CutBack(const WritePosition& position) {
  FreeBehind(const_cast<Node*>(position.last));
  total_bytes -= file_bytes_ - position.file_bytes;
  file_records_ = position.file_records;
  file_bytes_ = position.file_bytes;
  write_ = position.in_file;
  unread_ = position.unread;
  if (file_records_ == 0 && forgotten_ == 0) CloseFile();
}

RecordQueue::ReadPosition RecordQueue::read_position() const {
  return {last_read_, read_, file_read_, file_read_bytes_, read_count_};
}

void RecordQueue::ReturnTo(const ReadPosition& position) {
  unread_ += read_count_ - position.read_count;
  last_read_ = const_cast<Node*>(position.last_read);
  read_ = position.in_file;
  file_read_ = position.file_read;
  file_read_bytes_ = position.file_read_bytes;
  read_count_ = position.read_count;
}

size_t RecordQueue::TotalBytes() { return total_bytes; }

void RecordQueue::CountElsewhere(size_t bytes) {
  elsewhere_ += bytes;
  total_bytes -= bytes;
}

void RecordQueue::CountHere() {
  total_bytes += elsewhere_;
  elsewhere_ = 0;
}

// All that follow it; nullptr: all.
void RecordQueue::FreeBehind(Node* node) {
  Node** link = node == nullptr ? &first_ : &node->next;
  while (Node* next = *link) {
    *link = next->next;
    memory_bytes -= next->header.body_bytes;
    total_bytes -= next->header.body_bytes;
    pfree(next);
  }
  last_ = node;
}

void RecordQueue::FreeFirst() {
  Node* node = first_;
  first_ = node->next;
  if (first_ == nullptr) last_ = nullptr;
  if (last_read_ == node) last_read_ = nullptr;
  memory_bytes -= node->header.body_bytes;
  total_bytes -= node->header.body_bytes;
  pfree(node);
}

void RecordQueue::AppendToFile(const RecordHeader& header, std::string_view body) {
  if (file_ <= 0) file_ = OpenTemporaryFile(true);
  WriteWhole(file_, &header, sizeof(header), write_);
  const off_t start = write_ + static_cast<off_t>(sizeof(header));
  WriteWhole(file_, body.data(), body.size(), start);
  write_ = start + static_cast<off_t>(body.size());
  ++file_records_;
  file_bytes_ += body.size();
}

void RecordQueue::ReadHeaderFromFile(RecordHeader* header) {
  ReadWhole(file_, header, sizeof(*header), read_);
}

void RecordQueue::ReadFromFile(RecordView* record) {
  ReadHeaderFromFile(&record->header);
  if (file_body_ != nullptr) pfree(file_body_);
  file_body_ = nullptr;
  const size_t size = record->header.body_bytes;
  file_body_ = static_cast<char*>(MemoryContextAllocExtended(Context(), size + 1, MCXT_ALLOC_HUGE));
  const off_t start = read_ + static_cast<off_t>(sizeof(record->header));
  ReadWhole(file_, file_body_, size, start);
  record->body = {file_body_, size};
  read_ = start + static_cast<off_t>(size);
  ++file_read_;
  file_read_bytes_ += size;
}

void RecordQueue::ForgetInFile(uint64_t records, size_t bytes) {
  if (file_ <= 0) return;
  file_records_ -= records;
  file_read_ -= records;
  file_bytes_ -= bytes;
  file_read_bytes_ -= bytes;
  total_bytes -= bytes;
  if (file_records_ == 0) CloseFile();
}

void RecordQueue::CloseFile() {
  total_bytes -= file_bytes_;
  if (file_ > 0) FileClose(file_);
  if (file_body_ != nullptr) pfree(file_body_);
  file_ = 0;
  file_body_ = nullptr;
  read_ = forgotten_ = write_ = 0;
  file_records_ = file_read_ = 0;
  file_bytes_ = file_read_bytes_ = 0;
}

}  // namespace live_queries
