// A part of a definition in shared memory: texts that end with NUL, one after the other, in pieces.
// One piece of several megabytes would leave holes in the area that nobody else can use. Process:
// any.
#pragma once

#include <span>

#include "pg/postgres.hpp"
#include "registry/shared_memory.hpp"

namespace live_queries {

inline constexpr int kMostPartFields = 6;
using PartFields = std::span<const std::string_view>;

struct DefinitionPieceShared {
  dsa_pointer next;
  char data[FLEXIBLE_ARRAY_MEMBER];
};

struct DefinitionPartShared {
  // Guarded by DefinitionsLock(): registry/definition_table.hpp.
  dsa_pointer next;           // in its bucket
  uint32_t references;        // of subscriptions; it goes with the last one
  int32_t maker;              // index of the connection that it is charged to; -1: none any more
  uint32_t maker_references;  // those of them that are of that connection

  // Never changed once others know it: whoever has a reference may read it without a lock.
  int32_t usage;  // of the role that it is charged to: ConnectionShared::usage
  Oid database;
  uint32_t offsets[kMostPartFields + 1];  // of the fields, and of their end
  uint64_t hash;
  DefinitionPieceShared first;

  uint32_t bytes() const { return offsets[kMostPartFields]; }
  uint32_t Length(int field) const { return offsets[field + 1] - offsets[field] - 1; }
};

// The shared memory that such a part takes.
uint64_t PartBytes(PartFields fields);
uint64_t PartBytes(const DefinitionPartShared& part);

// Makes one of these texts; all else is zero. What has been made stands in `*made` at any time, for
// FreePart; false without memory. May ereport.
bool MakePart(PartFields fields, dsa_pointer* made);
void FreePart(dsa_pointer pointer);

// Maps all of it, so that FreePart and the following do not ereport.
void MapPart(dsa_pointer pointer);

// Whether it has just these texts.
bool HasFields(const DefinitionPartShared& part, PartFields fields);

// Copies all fields, as they stand one after the other.
void CopyPart(const DefinitionPartShared& part, char* to);
// Copies the first bytes of a field, at most `limit`, without its NUL; returns how many.
size_t CopyField(const DefinitionPartShared& part, int field, char* to, size_t limit);

}  // namespace live_queries
