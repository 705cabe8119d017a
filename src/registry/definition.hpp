// What a subscription was made from, in shared memory: three parts, each of which other
// subscriptions may have, too. Process: any.
#pragma once

#include "registry/definition_part.hpp"

namespace live_queries {

enum class DefinitionField : uint8_t {
  // Alike wherever parameters make the difference.
  kQuery,

  // Alike in all subscriptions of one shape.
  kTables,    // for people: a text[] literal
  kSettings,  // analyze/settings_capture.hpp
  kSpec,      // query/spec.hpp: the template

  // A subscription's own.
  kParams,  // for people: a text[] literal
  kValues,  // node tree: the parameters' texts
  kRoute,   // node tree: the constants that select this subscription within the template
  // analyze/frozen_values.hpp, as of subscribe time; node trees.
  kSessionValues,
  kCatalogValues,
  kOwnSettings,  // analyze/settings_capture.hpp: those without which kCatalogValues would differ
};
inline constexpr int kDefinitionFields = 10;
using DefinitionFields = std::span<const std::string_view, kDefinitionFields>;

// The first field of each part, and the end of all.
inline constexpr int kDefinitionParts = 3;
inline constexpr int kFirstField[kDefinitionParts + 1] = {
    static_cast<int>(DefinitionField::kQuery), static_cast<int>(DefinitionField::kTables),
    static_cast<int>(DefinitionField::kParams), kDefinitionFields};
static_assert(kDefinitionFields - kFirstField[2] <= kMostPartFields);

// Guarded by whatever guards its owner; the parts themselves: README.md. All parts, or, where there
// is no definition, none; some of them only while it is made.
struct DefinitionShared {
  dsa_pointer parts[kDefinitionParts];
};

// The size of all its texts, without what others have of them.
size_t TextBytes(DefinitionFields fields);
size_t TextBytes(const DefinitionShared& definition);

// Copies all fields one after the other, TextBytes of them, and says where each of them is.
void CopyTexts(const DefinitionShared& definition, char* to,
               const char* (&fields)[kDefinitionFields]);

// The length of a field.
size_t FieldLength(const DefinitionShared& definition, DefinitionField field);
// Copies the first bytes of a field, at most `limit`, without its NUL; returns how many.
size_t CopyField(const DefinitionShared& definition, DefinitionField field, char* to, size_t limit);

}  // namespace live_queries
