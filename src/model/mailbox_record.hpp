// The record: what the decoder puts into a connection's mailbox for one subscription.
//
// Owns: its binary layout and the reader of concatenated records. Written by the decoder, read by
// the client backend (ring, spill file, held messages). Both run the same binary on one machine, so
// the layout is native and has no version. A body that several records have may stand elsewhere,
// once. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <type_traits>

#include "model/origin.hpp"

namespace live_queries {

enum class RecordKind : uint8_t {
  kChanges,     // body: Origin::xids; then what stands between `"changes":[` and `]`, both JSON
  kReset,       // body: the reason, as plain text
  kTerminated,  // body: SQLSTATE (5 bytes), then the reason, as plain text
};

inline constexpr size_t kRecordAlign = 8;
inline constexpr size_t kSqlStateBytes = 5;

// Followed by `body_bytes` bytes of body and padding up to a multiple of kRecordAlign; or, if the
// body stands elsewhere, by its number there (uint64_t).
struct alignas(kRecordAlign) RecordHeader {
  uint32_t body_bytes = 0;
  RecordKind kind = RecordKind::kChanges;
  uint8_t by_number = 0;    // 1: the body stands elsewhere
  uint16_t xids_bytes = 0;  // of the body
  uint32_t xid = 0;  // top-level transaction; 0 in records that belong to none, or to several
  uint32_t change_count = 0;
  uint64_t subscription_serial = 0;
  uint64_t group = 0;  // see AreOfOneGroup
  uint64_t seq = 0;
  int64_t committed_at = 0;  // microseconds since 2000-01-01 00:00 UTC, as TimestampTz

  friend constexpr bool operator==(const RecordHeader&, const RecordHeader&) = default;
};

static_assert(sizeof(RecordHeader) == 48);
static_assert(std::is_standard_layout_v<RecordHeader>);
static_assert(std::is_trivially_copyable_v<RecordHeader>);
static_assert(std::has_unique_object_representations_v<RecordHeader>, "no padding within");

constexpr size_t RecordBytes(uint32_t body_bytes) {
  return sizeof(RecordHeader) +
         (size_t{body_bytes} + kRecordAlign - 1) / kRecordAlign * kRecordAlign;
}

// A record whose body stands elsewhere.
inline constexpr size_t kNumberedRecordBytes = sizeof(RecordHeader) + sizeof(uint64_t);

// The header of changes; `body` without the xids.
constexpr RecordHeader ChangesHeader(uint64_t subscription_serial, const Origin& origin,
                                     uint32_t change_count, std::string_view body) {
  RecordHeader header;
  header.kind = RecordKind::kChanges;
  header.body_bytes = static_cast<uint32_t>(origin.xids.size() + body.size());
  header.xids_bytes = static_cast<uint16_t>(origin.xids.size());
  header.xid = origin.xid;
  header.change_count = change_count;
  header.subscription_serial = subscription_serial;
  header.seq = origin.seq;
  header.committed_at = origin.committed_at;
  return header;
}

// The header of a reset that the backend or the decoder makes up itself. Its body is `reason`.
constexpr RecordHeader ResetHeader(uint64_t subscription_serial, uint64_t seq,
                                   std::string_view reason) {
  RecordHeader header;
  header.kind = RecordKind::kReset;
  header.body_bytes = static_cast<uint32_t>(reason.size());
  header.subscription_serial = subscription_serial;
  header.seq = seq;
  return header;
}

// The number of a group: all messages of one transaction, or of what is told as one, on all
// connections. Each consumer counts its own, and says so in front.
constexpr uint64_t GroupNumber(uint8_t consumer, uint64_t number) {
  return uint64_t{consumer} << 56 | (number & ((uint64_t{1} << 56) - 1));
}

// Whether the second message goes on with the group of the first.
constexpr bool AreOfOneGroup(const RecordHeader& a, const RecordHeader& b) {
  return a.kind == RecordKind::kChanges && b.kind == RecordKind::kChanges && a.group == b.group;
}

struct RecordView {
  RecordHeader header;
  std::string_view body;  // borrowed from the bytes read
};

// Whether both tell the same changes of the same transactions, if only to another subscription.
constexpr bool TellTheSame(const RecordView& a, const RecordView& b) {
  RecordHeader header = a.header;
  header.subscription_serial = b.header.subscription_serial;
  return header == b.header && a.header.kind == RecordKind::kChanges && a.body == b.body;
}

// Reads concatenated records from first to last. The bytes may be anything and need no alignment: a
// record that is cut off or makes no sense ends the reading, with corrupt() true.
class RecordReader {
 public:
  explicit RecordReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  // The next record; nothing at the end, and nothing ever after a corrupt record. One whose body
  // stands elsewhere is corrupt.
  std::optional<RecordView> Next() {
    return Next([](uint64_t) { return std::optional<std::string_view>(); });
  }

  // The same, where `find` gives the body of a number, or nothing if there is none. Of such a
  // record the view has the body, and no number any more.
  template <class Find>
  std::optional<RecordView> Next(Find&& find) {
    if (corrupt_ || offset_ == bytes_.size()) return std::nullopt;
    RecordView record;
    const size_t available = bytes_.size() - offset_;
    if (available < sizeof(RecordHeader)) return Fail();
    std::memcpy(&record.header, bytes_.data() + offset_, sizeof(RecordHeader));
    const size_t record_bytes =
        record.header.by_number == 1 ? ReadNumber(&record, find) : ReadBody(&record);
    if (record_bytes == 0 || !IsSensible(record)) return Fail();
    offset_ += record_bytes;
    return record;
  }

  bool corrupt() const { return corrupt_; }

  // Bytes of the records returned so far.
  size_t offset() const { return offset_; }

 private:
  // These two fill in the body of a record, and return how many bytes it takes here; 0: corrupt.
  size_t ReadBody(RecordView* record) const {
    const size_t available = bytes_.size() - offset_;
    // The body first: its padded size could overflow a 32-bit size_t.
    if (record->header.body_bytes > available - sizeof(RecordHeader)) return 0;
    const size_t record_bytes = RecordBytes(record->header.body_bytes);
    if (record_bytes > available || record_bytes < sizeof(RecordHeader)) return 0;
    record->body = {reinterpret_cast<const char*>(bytes_.data()) + offset_ + sizeof(RecordHeader),
                    record->header.body_bytes};
    return record_bytes;
  }

  template <class Find>
  size_t ReadNumber(RecordView* record, Find& find) const {
    if (bytes_.size() - offset_ < kNumberedRecordBytes) return 0;
    uint64_t number = 0;
    std::memcpy(&number, bytes_.data() + offset_ + sizeof(RecordHeader), sizeof(number));
    const std::optional<std::string_view> body = find(number);
    if (!body || body->size() != record->header.body_bytes) return 0;
    record->body = *body;
    record->header.by_number = 0;
    return kNumberedRecordBytes;
  }

  static bool IsSensible(const RecordView& record) {
    const RecordHeader& header = record.header;
    if (header.by_number != 0 || header.xids_bytes > header.body_bytes) return false;
    if (header.kind != RecordKind::kChanges && header.xids_bytes != 0) return false;
    switch (header.kind) {
      case RecordKind::kChanges:
      case RecordKind::kReset:
        return true;
      case RecordKind::kTerminated:
        return StartsWithSqlState(record.body);
    }
    return false;
  }

  static bool StartsWithSqlState(std::string_view body) {
    if (body.size() < kSqlStateBytes) return false;
    for (size_t i = 0; i < kSqlStateBytes; ++i) {
      const char c = body[i];
      if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'))) return false;
    }
    return true;
  }

  std::nullopt_t Fail() {
    corrupt_ = true;
    return std::nullopt;
  }

  std::span<const std::byte> bytes_;
  size_t offset_ = 0;
  bool corrupt_ = false;
};

}  // namespace live_queries
