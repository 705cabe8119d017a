// Implements the sink of the strategies (template/sink.hpp): stages what comes of a batch for each
// connection, and publishes it, or forgets it, as a whole. Process: decoder.
#include "deliver/outbox.hpp"

#include <initializer_list>

#include "deliver/mailbox.hpp"
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
constexpr int kStagedInMemory = 1024 * 1024;
constexpr size_t kAllStagedInMemory = size_t{32} * 1024 * 1024;
// So much an outbox keeps for the next batch.
constexpr int kKeptMemory = 1024;

struct Outbox {
  uint64_t connection_id;  // whose it is; 0: nobody's yet
  StringInfoData staged;   // records
  SpillWriter spill;
  bool touched;
  Outbox* next_touched;
};

MemoryContext outbox_context = nullptr;
Outbox* outboxes = nullptr;  // beside the connections
Outbox* first_touched = nullptr;
uint64 staged_records = 0;
size_t staged_bytes = 0;  // that the outboxes' texts take
uint64_t group = 0;       // numbers them

ConnectionShared* ConnectionOf(const Outbox* outbox) {
  return ConnectionAt(static_cast<int>(outbox - outboxes));
}

std::span<const std::byte> Bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

void FreeStaged(Outbox* outbox) {
  staged_bytes -= static_cast<size_t>(outbox->staged.maxlen);
  if (outbox->staged.data != nullptr) pfree(outbox->staged.data);
  outbox->staged = {};
}

// Frees what was kept for a connection that has ended.
void Forget(Outbox* outbox) {
  // Its backend has removed the file, unless we have made it after that.
  if (outbox->spill.file >= 0) RemoveSpillFile(outbox->connection_id, MyConsumer()->index);
  CloseSpill(&outbox->spill);
  FreeStaged(outbox);
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

// Gives back what a large batch needed.
void ResetStaged(Outbox* outbox) {
  if (outbox->staged.maxlen > kKeptMemory)
    FreeStaged(outbox);
  else if (outbox->staged.data != nullptr)
    resetStringInfo(&outbox->staged);
}

void Spill(Outbox* outbox, std::string_view bytes) {
  if (bytes.empty()) return;
  SpillAhead(ConnectionOf(outbox), outbox->connection_id, Bytes(bytes), &outbox->spill);
}

// Writes what is staged to the spill file, unpublished.
void SpillStaged(Outbox* outbox) {
  if (outbox->staged.len == 0) return;
  InMemoryContext(outbox_context, [&] {
    RecordReader reader(Bytes(View(outbox->staged)));
    while (const auto record = reader.Next()) CountAhead(&outbox->spill, record->header);
  });
  if (!LIVE_QUERIES_MUTATION("lose_before_spill")) Spill(outbox, View(outbox->staged));
}

// What a spill file is too small for may find room in the mailbox.
bool FitsFile(const Outbox& outbox) {
  const size_t most = static_cast<size_t>(spill_size_kb) * kKilobyte;
  return outbox.spill.ahead + static_cast<size_t>(outbox.staged.len) <= most;
}

// One transaction may have something for very many connections.
void SpillAllStaged() {
  for (Outbox* outbox = first_touched; outbox != nullptr; outbox = outbox->next_touched) {
    if (!FitsFile(*outbox)) continue;
    SpillStaged(outbox);
    FreeStaged(outbox);
  }
}

void AppendToStaged(Outbox* outbox, std::initializer_list<std::string_view> parts) {
  StringInfo staged = &outbox->staged;
  const int taken = staged->maxlen;
  if (staged->data == nullptr) InMemoryContext(outbox_context, [&] { initStringInfo(staged); });
  for (const std::string_view part : parts) StringInfoSink{staged}.Append(part);
  staged_bytes += static_cast<size_t>(staged->maxlen - taken);
  if (staged_bytes > kAllStagedInMemory) SpillAllStaged();
}

// Its body is `xids` and `rest`.
void Stage(const Subscriber& subscriber, const RecordHeader& header, std::string_view xids,
           std::string_view rest) {
  Outbox* outbox = Touch(*subscriber.connection);
  ++staged_records;
  const std::string_view head(reinterpret_cast<const char*>(&header), sizeof(header));
  const size_t record_bytes = RecordBytes(header.body_bytes);
  constexpr std::string_view kPadding("\0\0\0\0\0\0\0\0", kRecordAlign);
  const auto padding = kPadding.substr(0, record_bytes - sizeof(header) - header.body_bytes);
  if (outbox->staged.len + record_bytes <= kStagedInMemory) {
    AppendToStaged(outbox, {head, xids, rest, padding});
    return;
  }
  SpillStaged(outbox);
  if (outbox->staged.data != nullptr) resetStringInfo(&outbox->staged);
  InMemoryContext(outbox_context, [&] { CountAhead(&outbox->spill, header); });
  for (const std::string_view part : {head, xids, rest, padding}) Spill(outbox, part);
}

void StageChanges(const Route& route, const Origin& origin, const Body& body) {
  RecordHeader header = ChangesHeader(0, origin, body.count, body.changes);
  header.group = GroupNumber(static_cast<uint8_t>(MyConsumer()->index), group);
  ForEachListener(route, [&](const Subscriber* subscriber) {
    header.subscription_serial = subscriber->serial;
    Stage(*subscriber, header, origin.xids, body.changes);
  });
}

void StageReset(const Route& route, uint64_t seq, const char* reason) {
  ResetWithBatch(route, [&](const Subscriber& subscriber) {
    Stage(subscriber, ResetHeader(subscriber.serial, seq, reason), {}, reason);
  });
}

}  // namespace

const Sink kOutboxSink = {StageChanges, StageReset};

void PrepareOutboxes(MemoryContext context) {
  outbox_context = AllocSetContextCreate(context, "live_queries outboxes", ALLOCSET_DEFAULT_SIZES);
  outboxes = static_cast<Outbox*>(
      MemoryContextAllocZero(outbox_context, sizeof(Outbox) * ConnectionCapacity()));
  for (int i = 0; i < ConnectionCapacity(); ++i) outboxes[i].spill = SpillWriter{};
}

void BeginGroup() { ++group; }

uint64 PublishStaged() {
  while (Outbox* outbox = TakeTouched()) {
    ConnectionShared* connection = ConnectionOf(outbox);
    const PutResult result =
        PutRecords(connection, outbox->connection_id, Bytes(View(outbox->staged)), &outbox->spill);
    ResetStaged(outbox);
    if (result == PutResult::kGone) continue;
    LIVE_QUERIES_FAULT("decoder-wake");
    WakeConnection(connection);
  }
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
