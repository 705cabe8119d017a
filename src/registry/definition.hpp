// What a subscription was made from, in shared memory: texts that end with NUL, one after the
// other, in pieces. One piece of several megabytes would leave holes in the area that nobody else
// can use. Guarded by whatever guards its owner. Process: any.
#pragma once

#include <span>

#include "pg/postgres.hpp"
#include "registry/shared_memory.hpp"

namespace live_queries {

enum class DefinitionField : uint8_t {
  kQuery,
  kParams,    // for people: a text[] literal
  kValues,    // node tree: the parameters' texts
  kTables,    // for people: a text[] literal
  kSettings,  // analyze/settings_capture.hpp
  kSpec,      // query/spec.hpp: the template
  kRoute,     // node tree: the constants that select this subscription within the template
  // analyze/frozen_values.hpp, as of subscribe time; node trees.
  kSessionValues,
  kCatalogValues,
  kOwnSettings,  // analyze/settings_capture.hpp: those without which kCatalogValues would differ
};
inline constexpr int kDefinitionFields = 10;
using DefinitionFields = std::span<const std::string_view, kDefinitionFields>;

struct DefinitionPieceShared {
  dsa_pointer next;
  char data[FLEXIBLE_ARRAY_MEMBER];
};

struct DefinitionShared {
  uint32_t offsets[kDefinitionFields + 1];  // of the fields, and of their end
  DefinitionPieceShared first;

  uint32_t bytes() const { return offsets[kDefinitionFields]; }
  uint32_t Length(DefinitionField field) const {
    return offsets[static_cast<int>(field) + 1] - offsets[static_cast<int>(field)] - 1;
  }
};

// The shared memory that such a definition takes.
uint64_t DefinitionBytes(DefinitionFields fields);
uint64_t DefinitionBytes(const DefinitionShared& definition);

// Makes one. What has been made stands in `*made` at any time, for FreeDefinition; false without
// memory. May ereport.
bool MakeDefinition(DefinitionFields fields, dsa_pointer* made);
void FreeDefinition(dsa_pointer pointer);

// Maps all of it, so that FreeDefinition and the following do not ereport.
void MapDefinition(dsa_pointer pointer);

// Copies all fields, as they stand one after the other.
void CopyDefinitionData(const DefinitionShared& definition, char* to);
// Copies the first bytes of a field, at most `limit`, without its NUL; returns how many.
size_t CopyField(const DefinitionShared& definition, DefinitionField field, char* to, size_t limit);

}  // namespace live_queries
