// Takes a definition's texts apart into pieces of shared memory, and puts them together again.
// Process: any.
#include "registry/definition.hpp"

namespace live_queries {
namespace {

// With its head, a piece is at most eight pages of the area.
constexpr size_t kPieceData = 32 * 1024 - 64;
constexpr size_t kHead = offsetof(DefinitionShared, first.data);
constexpr size_t kPieceHead = offsetof(DefinitionPieceShared, data);

size_t SizeOf(DefinitionFields fields) {
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
void ForEachStretch(DefinitionShared* definition, size_t start, size_t end, Use&& use) {
  DefinitionPieceShared* piece = &definition->first;
  for (size_t begin = 0;; begin += kPieceData) {
    const size_t from = start > begin ? start - begin : 0;
    const size_t to = end - begin < kPieceData ? end - begin : kPieceData;
    if (from < to) use(piece->data + from, to - from);
    if (end - begin <= kPieceData) return;
    piece = FromArea<DefinitionPieceShared>(piece->next);
  }
}

void CopyStretches(const DefinitionShared& definition, size_t start, size_t end, char* to) {
  size_t copied = 0;
  ForEachStretch(const_cast<DefinitionShared*>(&definition), start, end,
                 [&](const char* data, size_t bytes) {
                   memcpy(to + copied, data, bytes);
                   copied += bytes;
                 });
}

// All the pieces, zeroed, behind the definition itself.
bool MakePieces(size_t bytes, dsa_pointer* made) {
  *made = AllocateShared(kHead + InPiece(bytes), DSA_ALLOC_ZERO);
  if (!DsaPointerIsValid(*made)) return false;
  DefinitionPieceShared* last = &FromArea<DefinitionShared>(*made)->first;
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

uint64_t DefinitionBytes(DefinitionFields fields) { return Allocated(SizeOf(fields)); }
uint64_t DefinitionBytes(const DefinitionShared& definition) {
  return Allocated(definition.bytes());
}

bool MakeDefinition(DefinitionFields fields, dsa_pointer* made) {
  if (!MakePieces(SizeOf(fields), made)) return false;
  DefinitionShared* definition = FromArea<DefinitionShared>(*made);
  uint32_t offset = 0;
  for (int i = 0; i < kDefinitionFields; ++i) {
    const char* from = fields[i].data();
    definition->offsets[i] = offset;
    ForEachStretch(definition, offset, offset + fields[i].size(), [&](char* data, size_t bytes) {
      memcpy(data, from, bytes);
      from += bytes;
    });
    offset += static_cast<uint32_t>(fields[i].size()) + 1;  // the NUL is there: memory is zeroed
  }
  definition->offsets[kDefinitionFields] = offset;
  return true;
}

void FreeDefinition(dsa_pointer pointer) {
  dsa_pointer piece = FromArea<DefinitionShared>(pointer)->first.next;
  FreeShared(pointer);
  while (DsaPointerIsValid(piece)) {
    const dsa_pointer next = FromArea<DefinitionPieceShared>(piece)->next;
    FreeShared(piece);
    piece = next;
  }
}

void MapDefinition(dsa_pointer pointer) {
  dsa_pointer piece = FromArea<DefinitionShared>(pointer)->first.next;
  while (DsaPointerIsValid(piece)) piece = FromArea<DefinitionPieceShared>(piece)->next;
}

void CopyDefinitionData(const DefinitionShared& definition, char* to) {
  CopyStretches(definition, 0, definition.bytes(), to);
}

size_t CopyField(const DefinitionShared& definition, DefinitionField field, char* to,
                 size_t limit) {
  const size_t length = definition.Length(field);
  const size_t bytes = length < limit ? length : limit;
  const size_t start = definition.offsets[static_cast<int>(field)];
  CopyStretches(definition, start, start + bytes, to);
  return bytes;
}

}  // namespace live_queries
