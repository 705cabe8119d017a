// Collects small records, so that a file is written in large pieces. Process: a consumer.
#include "deliver/spill_writer.hpp"

#include <fcntl.h>

#include "pg/files.hpp"
#include "registry/consumer.hpp"
#include "registry/mail_storage.hpp"

extern "C" {
#include "common/file_perm.h"
#include "common/file_utils.h"
}

namespace live_queries {
namespace {

constexpr size_t kPiece = 256 * 1024;

File OpenSpillForWriting(uint64_t connection_id) {
  char path[MAXPGPATH];
  SpillPath(connection_id, MyConsumer()->index, path);
  File file = PathNameOpenFilePerm(path, O_RDWR | O_CREAT | PG_BINARY, pg_file_create_mode);
  if (file < 0 && errno == ENOENT) {
    (void)MakePGDirectory("base/" PG_TEMP_FILES_DIR);
    file = PathNameOpenFilePerm(path, O_RDWR | O_CREAT | PG_BINARY, pg_file_create_mode);
  }
  return file;
}

// What is written to a file one behind the other.
class SpillStream {
 public:
  SpillStream(File file, uint64_t offset) : file_(file), offset_(offset) {
    initStringInfo(&piece_);
  }

  void Add(const void* bytes, size_t size) {
    if (piece_.len + size > kPiece) Flush();
    if (size > kPiece)
      Write(bytes, size);
    else
      appendBinaryStringInfo(&piece_, static_cast<const char*>(bytes), static_cast<int>(size));
  }

  // Whether all could be written; if not, errno says why.
  bool End() {
    Flush();
    pfree(piece_.data);
    if (!written_) errno = error_;
    return written_;
  }

 private:
  void Flush() {
    Write(piece_.data, piece_.len);
    resetStringInfo(&piece_);
  }

  void Write(const void* bytes, size_t size) {
    if (!written_) return;
    written_ = TryWriteWhole(file_, bytes, size, static_cast<off_t>(offset_));
    if (!written_) error_ = errno;
    offset_ += size;
  }

  File file_;
  uint64_t offset_;
  StringInfoData piece_;
  bool written_ = true;
  int error_ = 0;
};

void AddRecord(SpillStream* stream, const StagedRecord& record) {
  constexpr char kPadding[kRecordAlign] = {};
  const RecordHeader& header = record.header;
  const BodyText& text = record.body->text;
  stream->Add(&header, sizeof(header));
  stream->Add(text.xids.data(), text.xids.size());
  stream->Add(text.rest.data(), text.rest.size());
  stream->Add(kPadding, RecordBytes(header.body_bytes) - sizeof(header) - header.body_bytes);
}

bool TryWriteSpill(uint64_t connection_id, uint64_t offset, std::span<const StagedRecord> records,
                   SpillWriter* writer) {
  if (writer->file < 0) writer->file = OpenSpillForWriting(connection_id);
  if (writer->file < 0) return false;
  SpillStream stream(writer->file, offset);
  for (const StagedRecord& record : records) AddRecord(&stream, record);
  return stream.End();
}

}  // namespace

bool WriteSpill(uint64_t connection_id, uint64_t offset, std::span<const StagedRecord> records,
                SpillWriter* writer) {
  const bool written = TryWriteSpill(connection_id, offset, records, writer);
  if (!written)
    ereport(LOG, errcode_for_file_access(),
            errmsg("live_queries could not spill messages of a connection: %m"));
  return written;
}

void CountAhead(SpillWriter* writer, const RecordHeader& header) {
  if (writer->counts == nullptr || writer->counts->serial != header.subscription_serial) {
    AheadCount* count = static_cast<AheadCount*>(palloc(sizeof(AheadCount)));
    *count = {writer->counts, header.subscription_serial, 0, 0};
    writer->counts = count;
  }
  ++writer->counts->messages;
  writer->counts->bytes += header.body_bytes;
}

void NothingAhead(SpillWriter* writer) {
  writer->ahead = 0;
  writer->failed = false;
  while (writer->counts != nullptr) {
    AheadCount* count = writer->counts;
    writer->counts = count->next;
    pfree(count);
  }
}

void CloseSpill(SpillWriter* writer) {
  if (writer->file >= 0) FileClose(writer->file);
  NothingAhead(writer);
  *writer = SpillWriter{};
}

}  // namespace live_queries
