// Implements the sink of the strategies (template/sink.hpp): stages what comes of a batch for each
// connection, and publishes it, or forgets it, as a whole. Process: decoder.
#include "deliver/outbox.hpp"

#include "deliver/mailbox.hpp"
#include "deliver/staged_body.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "pg/settings.hpp"
#include "registry/connection.hpp"
#include "subscribers/mirror.hpp"
#include "subscribers/resetting.hpp"

namespace live_queries {
namespace {

// More than this of one batch waits for its publication in the spill file, not in memory; and so
// does everything where the outboxes have more than this together.
constexpr size_t kStagedInMemory = 1024 * 1024;
constexpr size_t kAllStagedInMemory = size_t{32} * 1024 * 1024;
// So much an outbox keeps for the next batch.
constexpr int kKeptMemory = 1024;

struct Outbox {
  uint64_t connection_id;    // whose it is; 0: nobody's yet
  StringInfoData staged;     // StagedRecord[]
  size_t bytes_here;         // of these, and of the bodies that they have
  size_t bytes_in_file;      // that they would take there
  const StagedBody* latest;  // the body of the last one; nullptr: there is none
  SpillWriter spill;
  bool touched;
  Outbox* next_touched;
};

MemoryContext outbox_context = nullptr;
Outbox* outboxes = nullptr;  // beside the connections
Outbox* first_touched = nullptr;
uint64 staged_records = 0;
size_t staged_bytes = 0;  // that the outboxes' lists of records take
uint64_t group = 0;       // numbers them

ConnectionShared* ConnectionOf(const Outbox* outbox) {
  return ConnectionAt(static_cast<int>(outbox - outboxes));
}

std::span<const StagedRecord> RecordsIn(const Outbox& outbox) {
  return {reinterpret_cast<const StagedRecord*>(outbox.staged.data),
          outbox.staged.len / sizeof(StagedRecord)};
}

void FreeList(Outbox* outbox) {
  staged_bytes -= static_cast<size_t>(outbox->staged.maxlen);
  if (outbox->staged.data != nullptr) pfree(outbox->staged.data);
  outbox->staged = {};
}

// Frees what was kept for a connection that has ended.
void Forget(Outbox* outbox) {
  // Its backend has removed the file, unless we have made it after that.
  if (outbox->spill.file >= 0) RemoveSpillFile(outbox->connection_id, MyConsumer()->index);
  CloseSpill(&outbox->spill);
  FreeList(outbox);
  *outbox = Outbox{};
}

Outbox* Touch(const MirroredConnection& connection) {
  Outbox* outbox = &outboxes[connection.index];
  if (outbox->touched) return outbox;
  if (outbox->connection_id != connection.id) Forget(outbox);
  outbox->connection_id = connection.id;
  outbox->touched = true;
  outbox->next_touched = first_touched;
  first_touched = outbox;
  return outbox;
}

// The next one that was touched, which is not any more; nullptr if there is none.
Outbox* TakeTouched() {
  Outbox* outbox = first_touched;
  if (outbox == nullptr) return nullptr;
  first_touched = outbox->next_touched;
  outbox->touched = false;
  return outbox;
}

// Forgets the records, whose bodies are the caller's to leave, and gives back what a large batch
// needed.
void ResetStaged(Outbox* outbox) {
  outbox->bytes_here = outbox->bytes_in_file = 0;
  outbox->latest = nullptr;
  if (outbox->staged.maxlen > kKeptMemory)
    FreeList(outbox);
  else if (outbox->staged.data != nullptr)
    resetStringInfo(&outbox->staged);
}

void Spill(Outbox* outbox, std::span<const StagedRecord> records) {
  if (records.empty()) return;
  InMemoryContext(outbox_context, [&] {
    SpillAhead(ConnectionOf(outbox), outbox->connection_id, records, &outbox->spill);
  });
}

// Writes what is staged to the spill file, unpublished. Bodies that nobody else has are freed.
void SpillStaged(Outbox* outbox) {
  if (!LIVE_QUERIES_MUTATION("lose_before_spill")) Spill(outbox, RecordsIn(*outbox));
  for (const StagedRecord& record : RecordsIn(*outbox)) LeaveStagedBody(record.body);
  ResetStaged(outbox);
}

// What a spill file is too small for may find room in the mailbox.
bool FitsFile(const Outbox& outbox) {
  const size_t most = static_cast<size_t>(spill_size_kb) * kKilobyte;
  return outbox.spill.ahead + outbox.bytes_in_file <= most;
}

// One transaction may have something for very many connections.
void SpillAllStaged() {
  for (Outbox* outbox = first_touched; outbox != nullptr; outbox = outbox->next_touched) {
    if (!FitsFile(*outbox)) continue;
    SpillStaged(outbox);
    FreeList(outbox);
  }
}

void AppendToStaged(Outbox* outbox, const StagedRecord& record) {
  StringInfo staged = &outbox->staged;
  const int taken = staged->maxlen;
  if (staged->data == nullptr) InMemoryContext(outbox_context, [&] { initStringInfo(staged); });
  appendBinaryStringInfo(staged, reinterpret_cast<const char*>(&record), sizeof(record));
  staged_bytes += static_cast<size_t>(staged->maxlen - taken);
}

void Stage(const Subscriber& subscriber, const RecordHeader& header, StagedBody* body) {
  Outbox* outbox = Touch(*subscriber.connection);
  ++staged_records;
  const StagedRecord record = {header, body};
  const size_t of_body = outbox->latest == body ? 0 : sizeof(*body) + body->text.size();
  const size_t bytes = sizeof(record) + of_body;
  if (outbox->bytes_here + bytes > kStagedInMemory) {
    SpillStaged(outbox);
    Spill(outbox, {&record, 1});
    return;
  }
  AppendToStaged(outbox, record);
  outbox->bytes_here += bytes;
  outbox->bytes_in_file += RecordBytes(header.body_bytes);
  outbox->latest = body;
  ++body->users;
  if (staged_bytes + StagedBodyBytes() > kAllStagedInMemory) SpillAllStaged();
}

// Calls `stage` with a body of that text. One that is not kept, as it is too long, is not copied.
template <class Use>
void WithBody(const BodyText& text, Use&& stage) {
  if (text.size() > kStagedInMemory) {
    StagedBody borrowed = {};
    borrowed.text = text;
    stage(&borrowed);
    return;
  }
  StagedBody* body = UseStagedBody(text);
  stage(body);
  LeaveStagedBody(body);
}

void StageChanges(const Route& route, const Origin& origin, const Body& body) {
  RecordHeader header = ChangesHeader(0, origin, body.count, body.changes);
  header.group = GroupNumber(static_cast<uint8_t>(MyConsumer()->index), group);
  WithBody({origin.xids, body.changes}, [&](StagedBody* staged) {
    ForEachListener(route, [&](const Subscriber* subscriber) {
      header.subscription_serial = subscriber->serial;
      Stage(*subscriber, header, staged);
    });
  });
}

void StageReset(const Route& route, uint64_t seq, const char* reason) {
  WithBody({{}, reason}, [&](StagedBody* staged) {
    ResetWithBatch(route, [&](const Subscriber& subscriber) {
      Stage(subscriber, ResetHeader(subscriber.serial, seq, reason), staged);
    });
  });
}

}  // namespace

const Sink kOutboxSink = {StageChanges, StageReset};

void PrepareOutboxes(MemoryContext context) {
  outbox_context = AllocSetContextCreate(context, "live_queries outboxes", ALLOCSET_DEFAULT_SIZES);
  outboxes = static_cast<Outbox*>(
      MemoryContextAllocZero(outbox_context, sizeof(Outbox) * ConnectionCapacity()));
  for (int i = 0; i < ConnectionCapacity(); ++i) outboxes[i].spill = SpillWriter{};
  PrepareStagedBodies(outbox_context);
}

void BeginGroup() { ++group; }

uint64 PublishStaged() {
  while (Outbox* outbox = TakeTouched()) {
    ConnectionShared* connection = ConnectionOf(outbox);
    const PutResult result =
        PutRecords(connection, outbox->connection_id, RecordsIn(*outbox), &outbox->spill);
    ResetStaged(outbox);
    if (result == PutResult::kGone) continue;
    LIVE_QUERIES_FAULT("decoder-wake");
    WakeConnection(connection);
  }
  ForgetStagedBodies();
  KeepBatchResets();
  const uint64 published = staged_records;
  staged_records = 0;
  return published;
}

void AbandonStaged() {
  while (Outbox* outbox = TakeTouched()) {
    AbandonAhead(ConnectionOf(outbox), outbox->connection_id, &outbox->spill);
    ResetStaged(outbox);
  }
  ForgetStagedBodies();
  UndoBatchResets();
  staged_records = 0;
}

void ForgetEndedConnections() {
  for (int i = 0; i < ConnectionCapacity(); ++i) {
    // A look without the lock: if it is wrong, the next one is right.
    if (outboxes[i].connection_id != 0 &&
        outboxes[i].connection_id != ConnectionAt(i)->connection_id.Load())
      Forget(&outboxes[i]);
  }
}

}  // namespace live_queries
