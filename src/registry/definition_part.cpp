// Takes texts apart into pieces of shared memory, and puts them together again. Process: any.
#include "registry/definition_part.hpp"

namespace live_queries {
namespace {

// With its head, a piece is at most eight pages of the area.
constexpr size_t kPieceData = 32 * 1024 - 96;
constexpr size_t kHead = offsetof(DefinitionPartShared, first.data);
constexpr size_t kPieceHead = offsetof(DefinitionPieceShared, data);
static_assert(kHead + kPieceData <= 32 * 1024);

size_t SizeOf(PartFields fields) {
  size_t bytes = 0;
  for (const std::string_view field : fields) bytes += field.size() + 1;
  return bytes;
}

size_t InPiece(size_t left) { return left < kPieceData ? left : kPieceData; }

uint64_t Allocated(size_t bytes) {
  const uint64_t more = bytes > kPieceData ? (bytes - 1) / kPieceData : 0;
  return kHead + bytes + more * kPieceHead;
}

// Calls `use(data, bytes)` for each stretch of the texts from `start` to `end`.
template <class Use>
void ForEachStretch(DefinitionPartShared* part, size_t start, size_t end, Use&& use) {
  DefinitionPieceShared* piece = &part->first;
  for (size_t begin = 0;; begin += kPieceData) {
    const size_t from = start > begin ? start - begin : 0;
    const size_t to = end - begin < kPieceData ? end - begin : kPieceData;
    if (from < to) use(piece->data + from, to - from);
    if (end - begin <= kPieceData) return;
    piece = FromArea<DefinitionPieceShared>(piece->next);
  }
}

template <class Use>
void ForEachStretch(const DefinitionPartShared& part, size_t start, size_t end, Use&& use) {
  ForEachStretch(const_cast<DefinitionPartShared*>(&part), start, end,
                 [&](const char* data, size_t bytes) { use(data, bytes); });
}

void CopyStretches(const DefinitionPartShared& part, size_t start, size_t end, char* to) {
  size_t copied = 0;
  ForEachStretch(part, start, end, [&](const char* data, size_t bytes) {
    memcpy(to + copied, data, bytes);
    copied += bytes;
  });
}

// All the pieces, zeroed, behind the part itself.
bool MakePieces(size_t bytes, dsa_pointer* made) {
  *made = AllocateShared(kHead + InPiece(bytes), DSA_ALLOC_ZERO);
  if (!DsaPointerIsValid(*made)) return false;
  DefinitionPieceShared* last = &FromArea<DefinitionPartShared>(*made)->first;
  last->next = InvalidDsaPointer;
  for (size_t left = bytes - InPiece(bytes); left > 0; left -= InPiece(left)) {
    last->next = AllocateShared(kPieceHead + InPiece(left), DSA_ALLOC_ZERO);
    if (!DsaPointerIsValid(last->next)) return false;
    last = FromArea<DefinitionPieceShared>(last->next);
    last->next = InvalidDsaPointer;
  }
  return true;
}

}  // namespace

uint64_t PartBytes(PartFields fields) { return Allocated(SizeOf(fields)); }
uint64_t PartBytes(const DefinitionPartShared& part) { return Allocated(part.bytes()); }

bool MakePart(PartFields fields, dsa_pointer* made) {
  if (!MakePieces(SizeOf(fields), made)) return false;
  DefinitionPartShared* part = FromArea<DefinitionPartShared>(*made);
  uint32_t offset = 0;
  for (size_t i = 0; i < fields.size(); ++i) {
    const char* from = fields[i].data();
    part->offsets[i] = offset;
    ForEachStretch(part, offset, offset + fields[i].size(), [&](char* data, size_t bytes) {
      memcpy(data, from, bytes);
      from += bytes;
    });
    offset += static_cast<uint32_t>(fields[i].size()) + 1;  // the NUL is there: memory is zeroed
  }
  for (size_t i = fields.size(); i <= kMostPartFields; ++i) part->offsets[i] = offset;
  return true;
}

void FreePart(dsa_pointer pointer) {
  dsa_pointer piece = FromArea<DefinitionPartShared>(pointer)->first.next;
  FreeShared(pointer);
  while (DsaPointerIsValid(piece)) {
    const dsa_pointer next = FromArea<DefinitionPieceShared>(piece)->next;
    FreeShared(piece);
    piece = next;
  }
}

void MapPart(dsa_pointer pointer) {
  dsa_pointer piece = FromArea<DefinitionPartShared>(pointer)->first.next;
  while (DsaPointerIsValid(piece)) piece = FromArea<DefinitionPieceShared>(piece)->next;
}

bool HasFields(const DefinitionPartShared& part, PartFields fields) {
  if (part.bytes() != SizeOf(fields)) return false;
  bool same = true;
  for (size_t i = 0; same && i < fields.size(); ++i) {
    same = part.Length(static_cast<int>(i)) == fields[i].size();
    if (!same) break;
    const char* expected = fields[i].data();
    ForEachStretch(part, part.offsets[i], part.offsets[i] + fields[i].size(),
                   [&](const char* data, size_t bytes) {
                     same = same && memcmp(data, expected, bytes) == 0;
                     expected += bytes;
                   });
  }
  return same;
}

void CopyPart(const DefinitionPartShared& part, char* to) {
  CopyStretches(part, 0, part.bytes(), to);
}

size_t CopyField(const DefinitionPartShared& part, int field, char* to, size_t limit) {
  const size_t length = part.Length(field);
  const size_t bytes = length < limit ? length : limit;
  CopyStretches(part, part.offsets[field], part.offsets[field] + bytes, to);
  return bytes;
}

}  // namespace live_queries
