// Finds, enters and removes parts, and counts who has them. Process: any.
#include "registry/definition_table.hpp"

#include "pg/fault.hpp"
#include "pg/locks.hpp"
#include "pg/settings.hpp"
#include "registry/connection.hpp"
#include "registry/limits.hpp"

extern "C" {
#include "common/hashfn.h"
}

namespace live_queries {
namespace {

constexpr int32_t kNoMaker = -1;

struct Key {
  PartFields fields;
  int32_t usage;
  Oid database;
  uint64_t hash;
};

// What UsePart has made of a part that it has not entered yet. An error leaves it here.
struct Making {
  dsa_pointer part;
  uint64_t reserved;  // bytes
};
constexpr Making kNothing = {InvalidDsaPointer, 0};
Making making = kNothing;

// Depends on a secret: nobody knows which texts come into one bucket.
uint64_t HashOf(PartFields fields, int32_t usage, Oid database) {
  if (HashesAreEqual()) return 0;
  uint64_t hash;
  static_assert(sizeof(Control()->key_secret) >= sizeof(hash));
  memcpy(&hash, Control()->key_secret, sizeof(hash));
  hash = hash_combine64(hash, (static_cast<uint64_t>(usage) << 32) | database);
  for (const std::string_view field : fields)
    hash = hash_bytes_extended(reinterpret_cast<const unsigned char*>(field.data()),
                               static_cast<int>(field.size()), hash);
  return hash;
}

Key KeyOf(const ConnectionShared& connection, PartFields fields) {
  return {fields, connection.usage, MyDatabaseId, HashOf(fields, connection.usage, MyDatabaseId)};
}

dsa_pointer* BucketOf(uint64_t hash) {
  return &places.definition_buckets[hash % static_cast<uint64_t>(DefinitionBuckets())];
}

bool Fits(const DefinitionPartShared& part, const Key& key) {
  return part.hash == key.hash && part.usage == key.usage && part.database == key.database &&
         HasFields(part, key.fields);
}

// Leaves in `*used` a part that is there already, with one reference more; it is mapped then, so
// that freeing it raises no error. False, with the end of its bucket in `*end`, if there is none.
// The caller holds the lock. If it ereports, nothing has changed.
bool UseKnown(const ConnectionShared& connection, const Key& key, dsa_pointer* used,
              dsa_pointer** end) {
  dsa_pointer* link = BucketOf(key.hash);
  while (DsaPointerIsValid(*link)) {
    DefinitionPartShared* part = FromArea<DefinitionPartShared>(*link);
    if (Fits(*part, key)) {
      MapPart(*link);
      ++part->references;
      if (part->maker == connection.proc) ++part->maker_references;
      *used = *link;
      return true;
    }
    link = &part->next;
  }
  *end = link;
  return false;
}

// Enters what has been made at the end of its bucket: so all that is in front of a part was there
// before it, and who has mapped that once can always find it. The caller holds the lock.
void Enter(const ConnectionShared& connection, const Key& key, dsa_pointer* end,
           dsa_pointer* used) {
  DefinitionPartShared* part = FromArea<DefinitionPartShared>(making.part);
  part->next = InvalidDsaPointer;
  part->references = 1;
  part->maker = connection.proc;
  part->maker_references = 1;
  part->usage = key.usage;
  part->database = key.database;
  part->hash = key.hash;
  *end = making.part;
  *used = making.part;
  making = kNothing;
}

// Where the table leads to that part. The caller holds the lock.
dsa_pointer* LinkTo(dsa_pointer pointer) {
  dsa_pointer* link = BucketOf(FromArea<DefinitionPartShared>(pointer)->hash);
  while (*link != pointer) link = &FromArea<DefinitionPartShared>(*link)->next;
  return link;
}

// Whether that was the last reference: then the table does not lead to it any more.
bool GiveBack(ConnectionShared* connection, dsa_pointer pointer) {
  return WithLock(DefinitionsLock(), LW_EXCLUSIVE, [&] {
    DefinitionPartShared* part = FromArea<DefinitionPartShared>(pointer);
    dsa_pointer* link = part->references == 1 ? LinkTo(pointer) : nullptr;
    if (part->maker == connection->proc && --part->maker_references == 0) {
      part->maker = kNoMaker;
      DischargeConnection(connection, PartBytes(*part));
    }
    --part->references;
    if (link != nullptr) *link = part->next;
    return link != nullptr;
  });
}

// Leaves in `*used` the part of these texts, with a reference for the caller.
bool UsePart(ConnectionShared* connection, PartFields fields, dsa_pointer* used) {
  const Key key = KeyOf(*connection, fields);
  dsa_pointer* end;
  const bool known = WithLock(DefinitionsLock(), LW_EXCLUSIVE,
                              [&] { return UseKnown(*connection, key, used, &end); });
  if (known) return true;
  const uint64_t bytes = PartBytes(fields);
  ReserveMemory(connection, bytes);
  making.reserved = bytes;
  if (!MakePart(fields, &making.part)) return false;
  LIVE_QUERIES_FAULT("definition-made");
  // Another session may have made the same meanwhile.
  WithLock(DefinitionsLock(), LW_EXCLUSIVE, [&] {
    if (!UseKnown(*connection, key, used, &end)) Enter(*connection, key, end, used);
  });
  AbandonPart(connection);
  return true;
}

// Maps what LeavePart has to go through. Who has used the part has.
void MapLinks(dsa_pointer pointer) {
  (void)WithLock(DefinitionsLock(), LW_SHARED, [&] { return LinkTo(pointer); });
}

// Gives a reference back, and with the last one the part.
void LeavePart(ConnectionShared* connection, dsa_pointer pointer) {
  if (!GiveBack(connection, pointer)) return;
  const uint64_t bytes = PartBytes(*FromArea<DefinitionPartShared>(pointer));
  FreePart(pointer);
  DischargeRole(*connection, bytes);
}

}  // namespace

int DefinitionBuckets() {
  int buckets = 256;
  while (buckets < max_subscriptions) buckets *= 2;
  return buckets;
}

void AbandonPart(ConnectionShared* connection) {
  const Making abandoned = making;
  making = kNothing;
  if (DsaPointerIsValid(abandoned.part)) FreePart(abandoned.part);
  if (abandoned.reserved > 0) Discharge(connection, abandoned.reserved);
}

bool UseDefinition(ConnectionShared* connection, DefinitionFields fields, DefinitionShared* made) {
  for (int part = 0; part < kDefinitionParts; ++part) {
    const int first = kFirstField[part];
    const PartFields texts = {&fields[first], static_cast<size_t>(kFirstField[part + 1] - first)};
    if (!UsePart(connection, texts, &made->parts[part])) return false;
  }
  return true;
}

uint64_t ShareOfMemory(const DefinitionShared& definition) {
  return WithLock(DefinitionsLock(), LW_SHARED, [&] {
    uint64_t bytes = 0;
    for (const dsa_pointer pointer : definition.parts) {
      const DefinitionPartShared& part = *FromArea<DefinitionPartShared>(pointer);
      bytes += (PartBytes(part) + part.references - 1) / part.references;
    }
    return bytes;
  });
}

void LeaveDefinition(ConnectionShared* connection, DefinitionShared* definition) {
  for (dsa_pointer& part : definition->parts) {
    if (!DsaPointerIsValid(part)) continue;
    const dsa_pointer left = part;
    part = InvalidDsaPointer;
    LeavePart(connection, left);
  }
}

void MapDefinition(const DefinitionShared& definition) {
  for (const dsa_pointer part : definition.parts) {
    MapPart(part);
    MapLinks(part);
  }
}

}  // namespace live_queries
