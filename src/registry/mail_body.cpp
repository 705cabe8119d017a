// Makes and frees bodies, and counts what they take: for a connection what each of its blocks
// holds, for a role what any block of its connections holds, for the server all that is there.
// Process: a consumer (makes), any (lets go).
#include "registry/mail_body.hpp"

#include "model/body_holders.hpp"
#include "registry/connection.hpp"
#include "registry/limits.hpp"

namespace live_queries {
namespace {

void Free(dsa_pointer pointer, size_t bytes) {
  FreeShared(pointer);
  Control()->mail_bytes.Subtract(bytes);
}

}  // namespace

dsa_pointer MakeMailBody(const ConnectionShared& connection, size_t text_bytes) {
  const size_t bytes = MailBodyBytes(text_bytes);
  const dsa_pointer pointer = AllocateShared(bytes);
  if (!DsaPointerIsValid(pointer)) return pointer;
  MailBodyShared* body = FromArea<MailBodyShared>(pointer);
  body->holders.Init(kMakerOfBody);
  body->usage = connection.usage;
  body->bytes = text_bytes;
  Control()->mail_bytes.Add(bytes);
  return pointer;
}

void ReleaseMailBody(dsa_pointer pointer) {
  MailBodyShared* body = FromArea<MailBodyShared>(pointer);
  const size_t bytes = MailBodyBytes(body->bytes);
  if (NobodyHolds(body->holders.Subtract(kMakerOfBody), kMakerOfBody)) Free(pointer, bytes);
}

void HoldMailBody(ConnectionShared* connection, dsa_pointer pointer) {
  MailBodyShared* body = FromArea<MailBodyShared>(pointer);
  const size_t bytes = MailBodyBytes(body->bytes);
  ChargeConnection(connection, bytes);
  if (IsFirstBlock(body->holders.Add(kBlockOfBody))) ChargeRole(*connection, bytes);
}

void LetGoOfMailBody(ConnectionShared* connection, dsa_pointer pointer) {
  MailBodyShared* body = FromArea<MailBodyShared>(pointer);
  // Before it is let go of: then it may be gone.
  const size_t bytes = MailBodyBytes(body->bytes);
  DischargeConnection(connection, bytes);
  const uint32_t before = body->holders.Subtract(kBlockOfBody);
  if (WasLastBlock(before)) DischargeRole(*connection, bytes);
  if (NobodyHolds(before, kBlockOfBody)) Free(pointer, bytes);
}

}  // namespace live_queries
