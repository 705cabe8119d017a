// The parts of all definitions, each there but once for the live queries of one role that have the
// same: a hash table by their texts, guarded by a lock of its own. README.md says who may read a
// part without it. Process: any; each function says who calls it.
#pragma once

#include "registry/definition.hpp"

namespace live_queries {

struct ConnectionShared;

// How many buckets the table has, for the layout.
int DefinitionBuckets();

// ----- client backend, for its own connection -----

// Makes a definition of this backend's connection. What it has of it stands in `*made`, which was
// empty, at any time, for LeaveDefinition. False without memory. May ereport, also 53200 for the
// limit that it would exceed; what it is making waits for AbandonPart then, as it does without
// memory.
bool UseDefinition(ConnectionShared* connection, DefinitionFields fields, DefinitionShared* made);
// Gives back what a UseDefinition that failed was making. Never ereports.
void AbandonPart(ConnectionShared* connection);

// ----- any process -----

// The shared memory that a definition takes; of what several live queries have, its part. Whoever
// asks may read it (README.md).
uint64_t ShareOfMemory(const DefinitionShared& definition);

// Gives back what it has of parts, and empties it.
void LeaveDefinition(ConnectionShared* connection, DefinitionShared* definition);

// Maps all of it, so that LeaveDefinition and the following do not ereport.
void MapDefinition(const DefinitionShared& definition);

}  // namespace live_queries
