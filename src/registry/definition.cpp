// Which field is in which part. Process: any.
#include "registry/definition.hpp"

namespace live_queries {
namespace {

const DefinitionPartShared& PartOf(const DefinitionShared& definition, int part) {
  return *FromArea<DefinitionPartShared>(definition.parts[part]);
}

int PartOfField(DefinitionField field) {
  int part = kDefinitionParts - 1;
  while (static_cast<int>(field) < kFirstField[part]) --part;
  return part;
}

}  // namespace

size_t TextBytes(DefinitionFields fields) {
  size_t bytes = 0;
  for (const std::string_view field : fields) bytes += field.size() + 1;
  return bytes;
}

size_t TextBytes(const DefinitionShared& definition) {
  size_t bytes = 0;
  for (int part = 0; part < kDefinitionParts; ++part) bytes += PartOf(definition, part).bytes();
  return bytes;
}

void CopyTexts(const DefinitionShared& definition, char* to,
               const char* (&fields)[kDefinitionFields]) {
  for (int i = 0; i < kDefinitionParts; ++i) {
    const DefinitionPartShared& part = PartOf(definition, i);
    CopyPart(part, to);
    for (int field = kFirstField[i]; field < kFirstField[i + 1]; ++field)
      fields[field] = to + part.offsets[field - kFirstField[i]];
    to += part.bytes();
  }
}

size_t FieldLength(const DefinitionShared& definition, DefinitionField field) {
  const int part = PartOfField(field);
  return PartOf(definition, part).Length(static_cast<int>(field) - kFirstField[part]);
}

size_t CopyField(const DefinitionShared& definition, DefinitionField field, char* to,
                 size_t limit) {
  const int part = PartOfField(field);
  return CopyField(PartOf(definition, part), static_cast<int>(field) - kFirstField[part], to,
                   limit);
}

}  // namespace live_queries
