// Keeps the texts in a context of their own, and a list of those that have a place in shared
// memory: an error that ends the process leaves nothing of them there. Process: a consumer.
#include "deliver/staged_body.hpp"

#include "pg/fault.hpp"
#include "registry/mail_body.hpp"

extern "C" {
#include "storage/ipc.h"
}

namespace live_queries {
namespace {

MemoryContext body_context = nullptr;
StagedBody* latest = nullptr;  // that was made last, if it is still there
StagedBody* first_shared = nullptr;
size_t body_bytes = 0;  // that all of them take

void ReleaseShared() {
  while (StagedBody* body = first_shared) {
    first_shared = body->next_shared;
    ReleaseMailBody(body->shared);
  }
}

bool HasText(const StagedBody& body, const BodyText& text) {
  if (body.text.xids != text.xids || body.text.rest.size() != text.rest.size()) return false;
  return body.text.rest == text.rest || LIVE_QUERIES_MUTATION("share_equal_lengths");
}

StagedBody* MakeStagedBody(const BodyText& text) {
  char* place =
      static_cast<char*>(MemoryContextAlloc(body_context, sizeof(StagedBody) + text.size()));
  char* copy = place + sizeof(StagedBody);
  (void)text.CopyTo(copy);
  StagedBody* body = reinterpret_cast<StagedBody*>(place);
  *body = StagedBody{};
  body_bytes += GetMemoryChunkSpace(body);
  body->text = {{copy, text.xids.size()}, {copy + text.xids.size(), text.rest.size()}};
  return body;
}

}  // namespace

void PrepareStagedBodies(MemoryContext context) {
  body_context =
      AllocSetContextCreate(context, "live_queries staged bodies", ALLOCSET_DEFAULT_SIZES);
  before_shmem_exit([](int, Datum) { ReleaseShared(); }, 0);
}

StagedBody* UseStagedBody(const BodyText& text) {
  if (latest == nullptr || !HasText(*latest, text)) latest = MakeStagedBody(text);
  ++latest->users;
  return latest;
}

void LeaveStagedBody(StagedBody* body) {
  if (--body->users > 0) return;
  if (latest == body) latest = nullptr;
  body_bytes -= GetMemoryChunkSpace(body);
  pfree(body);
}

bool ShareStagedBody(const ConnectionShared& connection, StagedBody* body) {
  body->shared = MakeMailBody(connection, body->text.size());
  if (!DsaPointerIsValid(body->shared)) return false;
  body->usage = connection.usage;
  body->next_shared = first_shared;
  first_shared = body;
  (void)body->text.CopyTo(TextIn(FromArea<MailBodyShared>(body->shared)));
  return true;
}

size_t StagedBodyBytes() { return body_bytes; }

void ForgetStagedBodies() {
  ReleaseShared();
  latest = nullptr;
  body_bytes = 0;
  MemoryContextReset(body_context);
}

}  // namespace live_queries
