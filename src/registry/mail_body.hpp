// The body of messages that several mailboxes have: in shared memory once, with a count of who
// still needs it (model/body_holders.hpp). It belongs to blocks (mail_storage.hpp) of connections
// whose sessions have logged in as one role. Process: a consumer (makes), any (lets go).
#pragma once

#include "pg/postgres.hpp"
#include "registry/shared_memory.hpp"

namespace live_queries {

struct ConnectionShared;

struct MailBodyShared {
  Atomic<uint32_t> holders;
  // Never changed.
  int32_t usage;  // of the role that it counts for: ConnectionShared::usage
  uint64_t bytes;
  // The text follows.
};

inline char* TextIn(MailBodyShared* body) { return reinterpret_cast<char*>(body + 1); }
inline std::string_view TextOf(const MailBodyShared& body) {
  return {reinterpret_cast<const char*>(&body + 1), body.bytes};
}

// What one of such a text takes.
inline size_t MailBodyBytes(size_t text_bytes) { return sizeof(MailBodyShared) + text_bytes; }

// ----- the consumer that makes it -----

// A body with room for a text, to be filled before anyone else knows of it, for connections of the
// role of this one; held by its maker. InvalidDsaPointer without memory. May ereport: then there is
// none.
dsa_pointer MakeMailBody(const ConnectionShared& connection, size_t text_bytes);
// The maker needs it no more. Never ereports.
void ReleaseMailBody(dsa_pointer pointer);

// A block of that connection holds it, too. The caller is its maker, and holds the connection's
// lock, so that its backend has not left its role. Never ereports.
void HoldMailBody(ConnectionShared* connection, dsa_pointer pointer);

// ----- whoever frees a block of the connection -----

// That block needs it no more. May ereport only if it cannot be mapped: then nothing has changed.
void LetGoOfMailBody(ConnectionShared* connection, dsa_pointer pointer);

}  // namespace live_queries
