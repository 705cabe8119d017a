// The functions behind the views live_queries and live.workers. Process: client backend.
#include <algorithm>
#include <optional>

#include "deliver/local_subscription.hpp"
#include "deliver/permission.hpp"
#include "model/strategy.hpp"
#include "pg/compat.hpp"
#include "pg/encoding.hpp"
#include "pg/memory.hpp"
#include "pg/settings.hpp"
#include "registry/connection.hpp"
#include "registry/definition_table.hpp"
#include "registry/kept_problem.hpp"
#include "registry/terminated.hpp"
#include "sql_api/arguments.hpp"

extern "C" {
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "mb/pg_wchar.h"
#include "replication/slot.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/pg_lsn.h"
}

extern "C" {
LIVE_QUERIES_FUNCTION(live_queries_subscriptions);
LIVE_QUERIES_FUNCTION(live_queries_workers);
}

namespace live_queries {
namespace {

// The rows that the caller asks for (sql_api/view_conditions.hpp). More may be shown: the query has
// its conditions.
struct AskedFor {
  const char* live_id;  // nullptr: any
  std::optional<uint64_t> connection_id;
  const char* id;
  std::optional<pid_t> pid;
};

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

bool AsksForId(const AskedFor& asked) { return asked.id != nullptr || asked.live_id != nullptr; }

bool MayBeAskedFor(const AskedFor& asked, uint64_t connection_id, pid_t pid) {
  return asked.connection_id.value_or(connection_id) == connection_id &&
         asked.pid.value_or(pid) == pid;
}

bool MayBeAskedFor(const AskedFor& asked, uint64_t connection_id, const SubscriptionId& id) {
  if (!AsksForId(asked)) return true;
  // Others are shown in the encoding of whoever asks.
  if (!IsAscii(id.view())) return true;
  if (asked.id != nullptr && asked.id != id.view()) return false;
  if (asked.live_id == nullptr) return true;
  char end[kMaxLiveIdBytes];
  const size_t length = FormatLiveId({"", {connection_id}, id}, end);
  return std::string_view(asked.live_id).ends_with(std::string_view(end, length));
}

// One row of the view, copied under the lock and shown without it.
struct ShownSubscription {
  SubscriptionShared shared;
  const ProblemShared* problem;  // nullptr: none
  uint64_t connection_id;
  pid_t pid;
  uint64_t memory_bytes;
  char* query;
  char* params;
  char* tables;
};

List* shown = NIL;

void Show(const SubscriptionShared& subscription, const ProblemShared& problem,
          uint64_t connection_id, pid_t pid, uint64_t memory_bytes, char* query, char* params,
          char* tables) {
  ShownSubscription* one = static_cast<ShownSubscription*>(palloc(sizeof(ShownSubscription)));
  *one = {subscription, nullptr, connection_id, pid, memory_bytes, query, params, tables};
  if (problem.sqlstate != 0) {
    ProblemShared* copy = static_cast<ProblemShared*>(palloc(sizeof(ProblemShared)));
    *copy = problem;
    one->problem = copy;
  }
  shown = lappend(shown, one);
}

char* WholeField(const DefinitionShared& definition, DefinitionField field) {
  const size_t length = FieldLength(definition, field);
  char* text = static_cast<char*>(palloc(length + 1));
  text[CopyField(definition, field, text, length)] = '\0';
  return text;
}

// The shared memory that it takes, beside messages that wait.
uint64_t MemoryOf(const SubscriptionShared& subscription) {
  return sizeof(SlotShared) + sizeof(SubscriptionShared) + ShareOfMemory(subscription.definition);
}

// Of those that take each other's place in a transaction, one is shown: until it has committed, to
// its own session the last, to all others the first.
bool IsHidden(const ConnectionShared& connection, const SubscriptionShared& subscription) {
  if (&connection != MyConnectionIfAny())
    return FindSubscription(connection, subscription.former) != nullptr;
  const LocalSubscription* mine = FindLocal(subscription.serial);
  return mine != nullptr && mine->replaced;
}

// One that has ended is in the ring, whether its client knows or not.
void ShowLive(const ConnectionShared& connection, const AskedFor& asked) {
  const uint64_t connection_id = connection.connection_id.Load();
  if (!MayBeAskedFor(asked, connection_id, connection.pid.Load())) return;
  ForEachSubscription(connection, [&](const SubscriptionShared& subscription) {
    if (subscription.status == SubscriptionStatus::kTerminated) return;
    if (!MayBeAskedFor(asked, connection_id, subscription.id)) return;
    if (IsHidden(connection, subscription)) return;
    const DefinitionShared& definition = subscription.definition;
    Show(subscription, CopyProblem(subscription.problem), connection.connection_id.Load(),
         connection.pid.Load(), MemoryOf(subscription),
         WholeField(definition, DefinitionField::kQuery),
         WholeField(definition, DefinitionField::kParams),
         WholeField(definition, DefinitionField::kTables));
  });
}

void ShowTerminated(const AskedFor& asked) {
  for (const TerminatedShared& kept : TerminatedRing()->kept) {
    if (kept.subscription.serial == 0) continue;
    if (!MayBeAskedFor(asked, kept.connection_id, kept.pid)) continue;
    if (!MayBeAskedFor(asked, kept.connection_id, kept.subscription.id)) continue;
    Show(kept.subscription, kept.problem, kept.connection_id, kept.pid, 0, pstrdup(kept.query),
         pstrdup(kept.params), pstrdup(kept.tables));
  }
}

// Those that were shown as live, of which the first `live` are, and have ended since, are shown
// once.
void HideEnded(int live) {
  if (live == list_length(shown)) return;
  List* left = NIL;
  for (int i = 0; i < list_length(shown); ++i) {
    const auto* one = static_cast<ShownSubscription*>(list_nth(shown, i));
    bool ended = false;
    for (int other = live; i < live && other < list_length(shown); ++other)
      ended = ended || static_cast<ShownSubscription*>(list_nth(shown, other))->shared.serial ==
                           one->shared.serial;
    if (!ended) left = lappend(left, list_nth(shown, i));
  }
  shown = left;
}

void CollectShown(const AskedFor& asked) {
  shown = NIL;
  ForEachConnection(LW_SHARED, [&](ConnectionShared& connection) { ShowLive(connection, asked); });
  const int live = list_length(shown);
  WithLock(ControlLock(), LW_SHARED, [&] { ShowTerminated(asked); });
  HideEnded(live);
}

// A row under construction: values in the order of the columns.
class RowBuilder {
 public:
  void Add(Datum value) { values_[count_++] = value; }
  void AddNull() { nulls_[count_++] = true; }
  void AddText(const char* text) {
    if (text == nullptr)
      AddNull();
    else
      Add(CStringGetTextDatum(text));
  }
  void AddText(std::string_view text) { Add(TextDatum(text)); }
  void AddName(const char* name) { AddText(ReadableText(name, PG_SQL_ASCII)); }
  void AddCount(uint64_t count) { Add(Int64GetDatum(static_cast<int64>(count))); }
  void AddTime(TimestampTz time) {
    if (time == 0)
      AddNull();
    else
      Add(TimestampTzGetDatum(time));
  }
  void Emit(ResultRows* rows) { rows->Add(values_, nulls_); }

 private:
  static constexpr int kMostColumns = 32;
  Datum values_[kMostColumns] = {};
  bool nulls_[kMostColumns] = {};
  int count_ = 0;
};

// nullptr: none.
const char* ProblemCode(const ProblemShared& problem) {
  return problem.sqlstate == 0 ? nullptr : pstrdup(unpack_sql_state(problem.sqlstate));
}
const char* ProblemText(const ProblemShared& problem) {
  const char* code = ProblemCode(problem);
  return code == nullptr ? nullptr : psprintf("%s: %s", code, problem.message);
}

uint64_t Pending(uint64_t put, uint64_t taken) { return put > taken ? put - taken : 0; }

void EmitSubscription(const ShownSubscription& one, const AskedFor& asked, bool may_read_all,
                      ResultRows* rows) {
  const SubscriptionShared& shared = one.shared;
  const char* database = get_database_name(shared.database);
  if (database == nullptr) return;  // one that is over, of a database that was dropped
  const ConnectionShared* mine = MyConnectionIfAny();
  const bool may_act =
      mine != nullptr && mine->connection_id.Load() == one.connection_id && MayActFor(shared.role);
  // Others see that there is a subscription and how busy it is, not what it watches.
  const bool visible = may_act || may_read_all || has_privs_of_role(GetUserId(), shared.role);
  // Where the id is not shown, no row tells that it is one.
  if (!visible && AsksForId(asked)) return;
  const int encoding = EncodingOfDatabase(shared.database);
  auto readable = [&](const char* text) {
    return visible ? ReadableText(text, encoding) : nullptr;
  };
  RowBuilder row;
  row.AddText(visible ? ShownLiveId(shared.role, one.connection_id, shared.id, shared.database)
                      : nullptr);
  row.AddCount(one.connection_id);
  row.AddText(readable(CopyText(shared.id.view())));
  row.Add(Int32GetDatum(one.pid));
  row.AddName(database);
  row.AddName(GetUserNameFromId(shared.role, true));
  const char* node = GetConfigOption("cluster_name", true, false);
  row.AddText(node == nullptr || node[0] == '\0' ? nullptr : node);
  row.AddText(readable(one.query));
  row.AddText(readable(one.params));
  row.AddText(readable(one.tables));
  row.AddText(ToText(shared.strategy));
  row.AddText(ToText(shared.status));
  row.AddText(ToText(shared.delivery));
  // Whoever knows it can send forged messages with pg_notify, so no other session is told.
  row.AddText(may_act && shared.status != SubscriptionStatus::kTerminated ? mine->channel
                                                                          : nullptr);
  row.AddTime(shared.created_at);
  char digits[kSeqIdDigits];
  if (shared.seq == 0)
    row.AddNull();
  else
    row.AddText(FormatSeqId(SeqId{shared.seq}, digits));
  const bool over = shared.status == SubscriptionStatus::kTerminated;
  row.AddCount(over ? 0 : Pending(shared.messages_put, shared.messages_taken));
  row.AddCount(over ? 0 : Pending(shared.bytes_put, shared.bytes_taken));
  row.AddCount(shared.messages);
  row.AddCount(shared.changes);
  row.AddCount(shared.resets);
  row.AddTime(shared.last_delivered_at);
  // Other sessions of the role need not be allowed to see that row: their settings can be part of
  // its row security.
  if (one.problem == nullptr)
    row.AddNull();
  else if (one.problem->may_quote_rows && !may_act && !superuser())
    row.AddText(readable(ProblemCode(*one.problem)));
  else
    row.AddText(readable(ProblemText(*one.problem)));
  // It would tell how long the texts are.
  if (visible)
    row.AddCount(one.memory_bytes);
  else
    row.AddNull();
  row.Emit(rows);
}

// In the order of the columns that they are about.
AskedFor AskedForBy(FunctionCallInfo call) {
  AskedFor asked = {};
  const NullableDatum* argument = call->args;
  if (!argument[0].isnull) asked.live_id = TextArgument(call, 0, "of_live_id");
  if (!argument[1].isnull)
    asked.connection_id = static_cast<uint64_t>(DatumGetInt64(argument[1].value));
  if (!argument[2].isnull) asked.id = TextArgument(call, 2, "of_subscription_id");
  if (!argument[3].isnull) asked.pid = DatumGetInt32(argument[3].value);
  return asked;
}

Datum SubscriptionsCall(FunctionCallInfo call) {
  RequireSharedMemory();
  ResultRows rows(call);
  const bool may_read_all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
  const AskedFor asked = AskedForBy(call);
  CollectShown(asked);
  MemoryContext of_row =
      AllocSetContextCreate(CurrentMemoryContext, "live_queries row", ALLOCSET_DEFAULT_SIZES);
  ListCell* cell;
  foreach (cell, shown) {
    CHECK_FOR_INTERRUPTS();
    InMemoryContext(of_row, [&] {
      EmitSubscription(*static_cast<ShownSubscription*>(lfirst(cell)), asked, may_read_all, &rows);
    });
    MemoryContextReset(of_row);
  }
  MemoryContextDelete(of_row);
  shown = NIL;
  return static_cast<Datum>(0);
}

// What of a consumer is guarded by the lock.
struct ShownWorker {
  Oid database;
  ConsumerState state;
  pid_t pid;
  TimestampTz started_at;
  ProblemShared problem;
  char slot_name[NAMEDATALEN];
};

XLogRecPtr RestartPosition(const char* slot_name) {
  XLogRecPtr position = InvalidXLogRecPtr;
  LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
  for (int i = 0; i < max_replication_slots; ++i) {
    ReplicationSlot* slot = &ReplicationSlotCtl->replication_slots[i];
    if (slot->in_use && strcmp(NameStr(slot->data.name), slot_name) == 0)
      position = slot->data.restart_lsn;
  }
  LWLockRelease(ReplicationSlotControlLock);
  return position;
}

void AddBytesSince(RowBuilder* row, XLogRecPtr end, XLogRecPtr start) {
  if (XLogRecPtrIsInvalid(start))
    row->AddNull();
  else
    row->AddCount(end > start ? end - start : 0);
}

void AddMilliseconds(RowBuilder* row, uint64 microseconds) {
  row->Add(Float8GetDatum(static_cast<double>(microseconds) / 1000));
}

// What only evaluators do, but for the evaluations of queries, which decoders do as well.
void AddEvaluations(RowBuilder* row, const ConsumerShared& consumer) {
  if (consumer.kind == ConsumerKind::kDecoder) {
    row->AddNull();
    row->AddCount(consumer.evaluations.Load());
    for (int i = 0; i < 6; ++i) row->AddNull();
    return;
  }
  row->AddCount(consumer.batches.Load());
  row->AddCount(consumer.evaluations.Load());
  row->AddCount(consumer.refreshes.Load());
  AddMilliseconds(row, consumer.probe_us.Load());
  AddMilliseconds(row, consumer.query_us.Load());
  AddMilliseconds(row, consumer.difference_us.Load());
  row->AddCount(consumer.lapses.Load());
  const TimestampTz taken_at = consumer.snapshot_taken_at.Load();
  Interval* age = static_cast<Interval*>(palloc0(sizeof(Interval)));
  age->time = std::max(GetCurrentTimestamp() - taken_at, TimestampTz{0});
  if (taken_at == 0)
    row->AddNull();
  else
    row->Add(IntervalPGetDatum(age));
}

void EmitWorker(const ConsumerShared& consumer, const ShownWorker& worker, ResultRows* rows) {
  const XLogRecPtr position = consumer.position.Load();
  const XLogRecPtr end = RecoveryInProgress() ? position : GetFlushRecPtr(nullptr);
  const bool runs = worker.pid != 0;
  const char* name = get_database_name(worker.database);
  if (name == nullptr) return;  // dropped; the slot is about to be freed
  RowBuilder row;
  row.AddName(name);
  row.AddText(ToText(consumer.kind));
  if (runs)
    row.Add(Int32GetDatum(worker.pid));
  else
    row.AddNull();
  row.AddText(ToText(worker.state));
  row.AddTime(runs ? worker.started_at : 0);
  row.AddText(runs ? worker.slot_name : nullptr);
  if (runs && !XLogRecPtrIsInvalid(position))
    row.Add(LSNGetDatum(position));
  else
    row.AddNull();
  AddBytesSince(&row, end, runs ? position : InvalidXLogRecPtr);
  AddBytesSince(&row, end, runs ? RestartPosition(worker.slot_name) : InvalidXLogRecPtr);
  row.AddCount(runs ? consumer.memory_bytes.Load() : 0);
  row.Add(Int32GetDatum(static_cast<int32>(consumer.subscriptions.Load())));
  row.AddCount(runs ? consumer.templates.Load() : 0);
  row.AddCount(consumer.transactions.Load());
  row.AddCount(consumer.changes_decoded.Load());
  row.AddCount(consumer.changes_ignored.Load());
  row.AddCount(consumer.changes_matched.Load());
  row.AddCount(consumer.messages.Load());
  row.AddCount(consumer.resets.Load());
  row.AddCount(consumer.errors.Load());
  row.AddText(ReadableText(ProblemText(worker.problem), EncodingOfDatabase(worker.database)));
  AddEvaluations(&row, consumer);
  row.Emit(rows);
}

ShownWorker CopyWorker(const DatabaseShared& database, const ConsumerShared& consumer) {
  ShownWorker copy = {database.database.Load(), consumer.state.Load(), consumer.pid.Load(),
                      consumer.started_at,      consumer.problem,      {}};
  strlcpy(copy.slot_name, consumer.slot_name, sizeof(copy.slot_name));
  return copy;
}

// The decoder is, whether it runs or not; the others if there is something to tell.
bool IsShown(const ConsumerShared& consumer, const ShownWorker& worker) {
  return OidIsValid(worker.database) &&
         (consumer.index == kDecoderConsumer || worker.state != ConsumerState::kStopped ||
          worker.pid != 0 || worker.problem.sqlstate != 0 || consumer.subscriptions.Load() > 0);
}

Datum WorkersCall(FunctionCallInfo call) {
  RequireSharedMemory();
  ResultRows rows(call);
  for (int i = 0; i < max_databases; ++i) {
    const DatabaseShared& database = *DatabaseAt(i);
    for (const ConsumerShared& consumer : database.consumers) {
      const ShownWorker worker =
          WithLock(ControlLock(), LW_SHARED, [&] { return CopyWorker(database, consumer); });
      if (IsShown(consumer, worker)) EmitWorker(consumer, worker, &rows);
    }
  }
  return static_cast<Datum>(0);
}

}  // namespace
}  // namespace live_queries

Datum live_queries_subscriptions(PG_FUNCTION_ARGS) {
  return live_queries::SubscriptionsCall(fcinfo);
}
Datum live_queries_workers(PG_FUNCTION_ARGS) { return live_queries::WorkersCall(fcinfo); }
