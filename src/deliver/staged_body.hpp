// The texts of what a consumer has staged for its connections and not published yet: each of them
// once, however many records have it. Where it goes to several mailboxes, its place in shared
// memory is known here, and held until all is published. Called by outbox.cpp and mail_block.cpp.
// Process: a consumer.
#pragma once

#include <span>

#include "model/mailbox_record.hpp"
#include "pg/postgres.hpp"
#include "registry/connection.hpp"

namespace live_queries {

// In two parts: the first is that of RecordHeader::xids_bytes.
struct BodyText {
  std::string_view xids;
  std::string_view rest;

  size_t size() const { return xids.size() + rest.size(); }
  // Writes it to a place of that size, and returns its end.
  char* CopyTo(char* place) const {
    place += xids.copy(place, xids.size());
    return place + rest.copy(place, rest.size());
  }
};

struct StagedBody {
  BodyText text;
  uint32_t users;      // staged records that have it
  dsa_pointer shared;  // its place in shared memory; InvalidDsaPointer: none
  int usage;           // if it has one: of whose role (mail_body.hpp)
  StagedBody* next_shared;
  // For mail_block.cpp: the block that it was planned for last, and its number in that.
  uint64_t block;
  uint64_t number;
};

struct StagedRecord {
  RecordHeader header;  // without a number
  StagedBody* body;
};

// What records take where each has its body with it.
inline size_t WholeBytes(std::span<const StagedRecord> records) {
  size_t bytes = 0;
  for (const StagedRecord& record : records) bytes += RecordBytes(record.header.body_bytes);
  return bytes;
}

// Before anything else here. What is staged is below `context`.
void PrepareStagedBodies(MemoryContext context);

// A copy of the text, or the one that was made last if its text is the same: with one user more,
// which the caller takes back, or hands on to a record. May ereport.
StagedBody* UseStagedBody(const BodyText& text);
// A user less. Without one it is freed. Not while records are published.
void LeaveStagedBody(StagedBody* body);

// Gives it a place in shared memory, for connections of the role of this one. False without memory.
// May ereport: then it has none.
bool ShareStagedBody(const ConnectionShared& connection, StagedBody* body);

// The memory that all of them take here.
size_t StagedBodyBytes();

// All is published, or abandoned: forgets all texts, and lets go of their places. Never ereports.
void ForgetStagedBodies();

}  // namespace live_queries
