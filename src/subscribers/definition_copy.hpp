// A subscription's definition, copied out of shared memory: for attaching.cpp and
// definition_check.cpp, which take their time with it. Process: decoder.
#pragma once

#include "pg/postgres.hpp"
#include "registry/connection.hpp"

namespace live_queries {

struct DefinitionCopy {
  Oid role;
  SessionIdentity session;
  Strategy strategy;
  uint64_t analysed_at;
  uint64_t values_here;
  int sent_back;
  Phase phase;
  const char* fields[kDefinitionFields];

  const char* Field(DefinitionField field) const { return fields[static_cast<int>(field)]; }
};

// Copies a definition into CurrentMemoryContext; false if the subscription is gone or over.
bool CopyDefinition(int connection, uint64_t serial, DefinitionCopy* definition);

}  // namespace live_queries
