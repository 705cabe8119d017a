// Staging and publishing. Process: decoder.
#include "deliver/outbox.hpp"

#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "registry/connection.hpp"
#include "subscribers/subscriber.hpp"

namespace live_queries {
namespace {

// More than this of one batch waits for its publication in the spill file, not in memory.
constexpr int kStagedInMemory = 1024 * 1024;

MemoryContext outbox_context = nullptr;
LocalConnection* connections = nullptr;
LocalConnection* first_touched = nullptr;
uint64 staged_records = 0;

int IndexOf(const LocalConnection* connection) {
  return static_cast<int>(connection - connections);
}

std::span<const std::byte> Bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

void Spill(LocalConnection* connection, std::string_view bytes) {
  if (bytes.empty()) return;
  SpillAhead(ConnectionAt(IndexOf(connection)), connection->id, Bytes(bytes), &connection->spill);
}

// Gives back what a large batch needed.
void ResetStaged(LocalConnection* connection) {
  connection->touched = false;
  if (connection->staged.maxlen > kStagedInMemory / 4) {
    pfree(connection->staged.data);
    connection->staged.data = nullptr;
  } else {
    resetStringInfo(&connection->staged);
  }
}

}  // namespace

void PrepareOutboxes(MemoryContext context) {
  outbox_context = AllocSetContextCreate(context, "live_queries outboxes", ALLOCSET_DEFAULT_SIZES);
  connections = static_cast<LocalConnection*>(
      MemoryContextAllocZero(outbox_context, sizeof(LocalConnection) * ConnectionCapacity()));
  for (int i = 0; i < ConnectionCapacity(); ++i) connections[i].spill = SpillWriter{};
}

LocalConnection* LocalConnectionAt(int index) { return &connections[index]; }

void StageRecord(Subscriber* subscriber, const RecordHeader& header, std::string_view body) {
  LocalConnection* connection = LocalConnectionAt(subscriber->connection);
  if (!connection->touched) {
    connection->touched = true;
    connection->next_touched = first_touched;
    first_touched = connection;
    if (connection->staged.data == nullptr)
      InMemoryContext(outbox_context, [&] { initStringInfo(&connection->staged); });
  }
  ++staged_records;
  StringInfo staged = &connection->staged;
  const std::string_view head(reinterpret_cast<const char*>(&header), sizeof(header));
  const size_t padding = RecordBytes(header.body_bytes) - sizeof(header) - body.size();
  constexpr std::string_view kPadding("\0\0\0\0\0\0\0\0", kRecordAlign);
  if (staged->len + RecordBytes(header.body_bytes) <= kStagedInMemory) {
    StringInfoSink sink{staged};
    sink.Append(head);
    sink.Append(body);
    sink.Append(kPadding.substr(0, padding));
    return;
  }
  InMemoryContext(outbox_context, [&] {
    RecordReader reader(Bytes(View(*staged)));
    while (const auto record = reader.Next()) CountAhead(&connection->spill, record->header);
    CountAhead(&connection->spill, header);
  });
  if (!LIVE_QUERIES_MUTATION("lose_before_spill")) Spill(connection, View(*staged));
  resetStringInfo(staged);
  Spill(connection, head);
  Spill(connection, body);
  Spill(connection, kPadding.substr(0, padding));
}

uint64 PublishStaged() {
  while (first_touched != nullptr) {
    LocalConnection* connection = first_touched;
    first_touched = connection->next_touched;
    ConnectionShared* shared = ConnectionAt(IndexOf(connection));
    const PutResult result =
        PutRecords(shared, connection->id, Bytes(View(connection->staged)), &connection->spill);
    ResetStaged(connection);
    if (result == PutResult::kGone) continue;
    LIVE_QUERIES_FAULT("decoder-wake");
    WakeConnection(shared);
  }
  const uint64 published = staged_records;
  staged_records = 0;
  return published;
}

void AbandonStaged() {
  while (first_touched != nullptr) {
    LocalConnection* connection = first_touched;
    first_touched = connection->next_touched;
    AbandonAhead(ConnectionAt(IndexOf(connection)), connection->id, &connection->spill);
    ResetStaged(connection);
  }
  staged_records = 0;
}

void ForgetConnection(int index) {
  LocalConnection* connection = LocalConnectionAt(index);
  // Its backend has removed the file, unless we have made it after that.
  if (connection->spill.file >= 0) RemoveSpillFile(connection->id);
  CloseSpill(&connection->spill);
  if (connection->slots != nullptr) pfree(connection->slots);
  if (connection->staged.data != nullptr) pfree(connection->staged.data);
  *connection = LocalConnection{};
  connection->spill = SpillWriter{};
}

}  // namespace live_queries
