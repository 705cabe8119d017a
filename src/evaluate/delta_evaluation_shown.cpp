// The delta strategy by hand, in any backend: for the test that compares it with the whole query,
// in a build with fault points alone. One query at a time, and a pair of snapshots that moves on;
// all within one transaction. The changed rows are given, or read from the dirty log as the last
// consumer of the database, which has no worker. No part of the extension.
#ifdef LIVE_QUERIES_FAULTS
#include "analyze/analyzed_query.hpp"
#include "delta/delta_routing.hpp"
#include "evaluate/delta_evaluation.hpp"
#include "evaluate/dirty_batch.hpp"
#include "evaluate/plan_watches.hpp"
#include "model/json_text.hpp"
#include "model/message.hpp"
#include "pg/compat.hpp"
#include "pg/memory.hpp"
#include "query/delta_strategy.hpp"
#include "registry/database.hpp"
#include "registry/dirty_log_users.hpp"

extern "C" {
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

LIVE_QUERIES_FUNCTION(live_queries_delta_begin);
LIVE_QUERIES_FUNCTION(live_queries_delta_clock);
LIVE_QUERIES_FUNCTION(live_queries_delta_move);
LIVE_QUERIES_FUNCTION(live_queries_delta_result);
LIVE_QUERIES_FUNCTION(live_queries_delta_changes);
LIVE_QUERIES_FUNCTION(live_queries_delta_watch);
LIVE_QUERIES_FUNCTION(live_queries_delta_logged);
LIVE_QUERIES_FUNCTION(live_queries_delta_read_log);
LIVE_QUERIES_FUNCTION(live_queries_delta_woken);
LIVE_QUERIES_FUNCTION(live_queries_delta_away);
}

namespace live_queries {
namespace {

struct Shown {
  QuerySpec spec;
  List* routing;  // Const, beside spec.routing_conditions: the only route that is shown
  List* watched;  // Datum*: its values, and those of others
  DeltaPlan plan;
  DeltaEvaluation* evaluation;
  SnapshotPair snapshots;
  ClockPair clock;
  TimestampTz transaction;  // of the snapshots
  PlanWatches watches;
  bool asked;    // what has changed between the snapshots
  bool is_away;  // who watches the route that is shown
};

MemoryContext shown_context = nullptr;
Shown* shown = nullptr;
TimestampTz next_time = 0;  // that the next snapshot is to show

Snapshot Take() {
  return RegisterSnapshotOnOwner(GetLatestSnapshot(), TopTransactionResourceOwner);
}

// ----- the dirty log -----

constexpr int kConsumer = kMaxConsumers - 1;

DatabaseShared* database = nullptr;
DirtyLogShared* log = nullptr;
DirtyLogCursor cursor;

void Leave(int, Datum) {
  database->consumers[kConsumer].proc.Store(-1);
  LeaveDirtyLog(database, log, kConsumer);
}

void Join() {
  if (log != nullptr) return;
  database = FindDatabase(MyDatabaseId);
  if (database == nullptr) elog(ERROR, "no decoder");
  log = JoinDirtyLog(database, kConsumer);
  database->consumers[kConsumer].proc.Store(ProcIndex(MyProc));
  before_shmem_exit(Leave, 0);
  cursor = OpenDirtyLog(log);
}

template <class Condition>
void WaitUntil(Condition&& condition) {
  constexpr long kTooLongMs = 10000;
  while (!condition()) {
    const int woken = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
                                kTooLongMs, PG_WAIT_EXTENSION);
    if ((woken & WL_TIMEOUT) != 0) elog(ERROR, "nobody has woken this process");
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
  }
}

// What is visible to the newer snapshot is in the log then, also where its commit was asynchronous.
void AwaitLog() {
  const XLogRecPtr flushed = GetFlushRecPtr(nullptr);
  const XLogRecPtr committed = database->commit_lsn.Load();
  const XLogRecPtr end = committed > flushed ? committed : flushed;
  WaitUntil([&] { return AwaitDirtyLog(database, log, kConsumer, end); });
}

bool IsSameRoute(const Datum* route, const Datum* values) {
  ListCell* cell;
  foreach (cell, shown->spec.routing_conditions) {
    const auto* test = lfirst_node(OpExpr, cell);
    const int i = foreach_current_index(cell);
    if (!DatumGetBool(
            OidFunctionCall2Coll(get_opcode(test->opno), test->inputcollid, values[i], route[i])))
      return false;
  }
  return true;
}

bool IsOfRoute(const Datum* values, const bool* nulls) {
  for (int i = 0; i < list_length(shown->routing); ++i)
    if (nulls[i]) return false;
  return IsSameRoute(static_cast<Datum*>(linitial(shown->watched)), values);
}

void Begin(const char* query) {
  static bool prepared = false;
  if (!prepared) PrepareKeptPlans();
  prepared = true;
  if (shown != nullptr && shown->watches.all != NIL)
    UnwatchPlan(database, log, kConsumer, shown->watches);
  shown = nullptr;
  if (shown_context != nullptr) MemoryContextDelete(shown_context);
  shown_context = nullptr;
  shown_context =
      AllocSetContextCreate(TopMemoryContext, "live_queries shown delta", ALLOCSET_DEFAULT_SIZES);
  Plan plan;
  PlanDeltaStrategy(AnalyzeQuery(query, NIL, FrozenValues{}), &plan);
  const char* text = SpecToText(plan.spec);
  InMemoryContext(shown_context, [&] {
    shown = AllocateIn<Shown>(shown_context);
    shown->spec = SpecFromText(text);
    if (strcmp(text, SpecToText(shown->spec)) != 0) elog(ERROR, "the text of a query changes");
    shown->plan = PlanDelta(shown->spec.query);
    shown->routing = static_cast<List*>(copyObjectImpl(plan.routing));
    Datum* values = static_cast<Datum*>(palloc(sizeof(Datum) * (list_length(plan.routing) + 1)));
    ListCell* cell;
    foreach (cell, shown->routing)
      values[foreach_current_index(cell)] = lfirst_node(Const, cell)->constvalue;
    shown->watched = list_make1(values);
    shown->evaluation = PrepareDeltaEvaluation(shown_context, shown->spec, &shown->plan,
                                               RoutingColumns(shown->spec.routing_conditions));
  });
  shown->snapshots = {nullptr, Take()};
  shown->clock = {next_time, next_time};
  shown->transaction = GetCurrentTransactionStartTimestamp();
}

void Watch() {
  Join();
  if (shown->watches.all != NIL) UnwatchPlan(database, log, kConsumer, shown->watches);
  InMemoryContext(shown_context, [] {
    WatchPlan(database, log, kConsumer, shown->plan, shown->spec.relations, &shown->watches);
  });
  uint64 since;
  while (!IdentitiesAreWatched(*log, &since)) {
    CHECK_FOR_INTERRUPTS();
    pg_usleep(1000);
  }
  AwaitLog();
  DirtyTransaction transaction;
  while (ReadDirtyLog(&cursor, &transaction) != DirtyRead::kNothing) {
  }
}

DirtyBatch* ReadBatch() {
  AwaitLog();
  DirtyBatch* batch = DirtyBatch::Create();
  for (;;) {
    DirtyTransaction transaction;
    switch (ReadDirtyLog(&cursor, &transaction)) {
      case DirtyRead::kNothing:
        return batch;
      case DirtyRead::kLapped:
        batch->AddUnknown();
        break;
      case DirtyRead::kTransaction:
        batch->Add(transaction);
        break;
    }
  }
}

void Move() {
  // Nobody has asked what has changed before.
  if (!shown->asked) ForgetKept(*shown->evaluation);
  shown->asked = false;
  if (shown->transaction != GetCurrentTransactionStartTimestamp()) shown->snapshots = {};
  shown->transaction = GetCurrentTransactionStartTimestamp();
  if (shown->snapshots.before != nullptr)
    UnregisterSnapshotFromOwner(shown->snapshots.before, TopTransactionResourceOwner);
  shown->snapshots.before = shown->snapshots.after;
  shown->snapshots.after = Take();
  shown->clock = {shown->clock.after, next_time};
}

// Identities by table: an array literal each; NULL: any row of the table.
struct GivenRows {
  Datum* tables;
  Datum* identities;
  bool* unknown;
  int count;
};

GivenRows ReadGiven(ArrayType* tables, ArrayType* identities) {
  GivenRows given = {};
  int count;
  deconstruct_array(tables, OIDOID, sizeof(Oid), true, TYPALIGN_INT, &given.tables, nullptr,
                    &given.count);
  deconstruct_array(identities, TEXTOID, -1, false, TYPALIGN_INT, &given.identities, &given.unknown,
                    &count);
  return given;
}

void AddIdentity(Datum identity, DirtyRows* dirty) {
  char* literal = TextDatumGetCString(identity);
  const Datum array = OidFunctionCall3(F_ARRAY_IN, CStringGetDatum(literal),
                                       ObjectIdGetDatum(TEXTOID), Int32GetDatum(-1));
  Datum* texts;
  int count;
  deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &texts, nullptr,
                    &count);
  for (int i = 0; i < count; ++i) {
    Oid input;
    Oid parameter;
    getTypeInputInfo(dirty->columns[i].type, &input, &parameter);
    AddValue(&dirty->columns[i],
             OidInputFunctionCall(input, TextDatumGetCString(texts[i]), parameter, -1), false);
  }
}

DirtyRows FindGiven(const GivenRows& given, const StaleSet& set) {
  DirtyRows dirty = {};
  dirty.columns = static_cast<ValueSet*>(palloc(sizeof(ValueSet) * list_length(set.columns)));
  ListCell* cell;
  foreach (cell, set.columns)
    dirty.columns[foreach_current_index(cell)] =
        MakeValueSet(CurrentMemoryContext, static_cast<SetColumn*>(lfirst(cell))->type);
  for (int i = 0; i < given.count; ++i) {
    if (DatumGetObjectId(given.tables[i]) != set.table) continue;
    if (given.unknown[i])
      dirty.all = true;
    else
      AddIdentity(given.identities[i], &dirty);
  }
  return dirty;
}

// ----- who watches -----

// The route that is shown, and, as if others watched them, all that have been asked for.
const Datum* FindWatched(const Datum* values, const bool* nulls, void*) {
  const int count = list_length(shown->routing);
  for (int i = 0; i < count; ++i)
    if (nulls[i]) return nullptr;
  if (shown->is_away && IsOfRoute(values, nulls)) return nullptr;
  ListCell* cell;
  foreach (cell, shown->watched)
    if (IsSameRoute(static_cast<Datum*>(lfirst(cell)), values))
      return static_cast<Datum*>(lfirst(cell));
  return InMemoryContext(shown_context, [&] {
    Datum* kept = static_cast<Datum*>(palloc(sizeof(Datum) * count));
    for (int i = 0; i < count; ++i) {
      const auto* value = list_nth_node(Const, shown->routing, i);
      kept[i] = datumCopy(values[i], value->constbyval, value->constlen);
    }
    shown->watched = lappend(shown->watched, kept);
    return kept;
  });
}

void ForEachWatched(void (*visit)(const Datum* values, void* visitor), void* visitor, void*) {
  ListCell* cell;
  foreach (cell, shown->watched)
    if (!shown->is_away || foreach_current_index(cell) > 0)
      visit(static_cast<Datum*>(lfirst(cell)), visitor);
}

struct Showing {
  const GivenRows* given;
  DirtyBatch* batch;
  StringInfoData out;
};

void ShowChange(const ResultChange& change, void* context) {
  if (!IsOfRoute(change.routes, change.route_nulls)) return;
  StringInfo out = &static_cast<Showing*>(context)->out;
  StringInfoSink sink{out};
  if (out->len > 1) appendStringInfoChar(out, ',');
  if (change.op == ChangeOp::kInsert) WriteInsert(sink, change.key, change.row, change.position);
  if (change.op == ChangeOp::kUpdate)
    WriteUpdate(sink, change.key, change.row, change.old, change.position);
  if (change.op == ChangeOp::kDelete) WriteDelete(sink, change.key, change.row);
}

void ShowRow(const EncodedRow& row, void* context) {
  if (!IsOfRoute(row.routes, row.route_nulls)) return;
  StringInfo out = &static_cast<Showing*>(context)->out;
  StringInfoSink sink{out};
  if (out->len > 1) appendStringInfoChar(out, ',');
  WriteInsert(sink, row.key, row.row);
}

DirtyRows FindShown(const StaleSet& set, void* context) {
  const Showing& source = *static_cast<Showing*>(context);
  if (source.given != nullptr) return FindGiven(*source.given, set);
  return source.batch->Find(set, shown->watches.of_set[set.number]);
}

// Every other time as if there were many others.
BatchSource SourceOf(Showing* showing) {
  static bool many = false;
  many = !many;
  return {FindShown,       FindWatched,
          ForEachWatched,  many ? INT_MAX : list_length(shown->watched),
          NoChangedRows(), showing};
}

// The changes; rows are given, or those of a batch of the log.
text* ShowChanges(const GivenRows* given, DirtyBatch* batch) {
  Showing showing = {given, batch, {}};
  initStringInfo(&showing.out);
  appendStringInfoChar(&showing.out, '[');
  shown->asked = true;
  const DeltaCost cost = EvaluateDelta(*shown->evaluation, shown->snapshots, shown->clock, 0,
                                       SourceOf(&showing), ShowChange, &showing);
  if (cost.same_key) elog(ERROR, "two rows of the result of a live query have the same key");
  return cstring_to_text(psprintf(
      "{\"whole\":%s,\"rows\":%llu,\"moved\":%llu,\"us\":[" INT64_FORMAT "," INT64_FORMAT
      "],\"spared\":%llu,\"beyond\":%llu,\"irrelevant\":%llu,\"quiet\":%s,\"nothing\":%s,\"bag\":%"
      "s,\"list\":%s,"
      "\"changes\":%s]}",
      cost.whole ? "true" : "false", static_cast<unsigned long long>(cost.rows),
      static_cast<unsigned long long>(cost.moved), cost.probe_us, cost.query_us,
      static_cast<unsigned long long>(cost.spared), static_cast<unsigned long long>(cost.beyond),
      static_cast<unsigned long long>(cost.irrelevant), cost.quiet ? "true" : "false",
      cost.nothing ? "true" : "false", shown->plan.bag ? "true" : "false",
      shown->plan.list ? "true" : "false", showing.out.data));
}

const char* NameOf(DirtyKind kind) {
  switch (kind) {
    case DirtyKind::kRow:
      return "row";
    case DirtyKind::kNewRow:
      return "new";
    case DirtyKind::kRows:
      return "rows";
    case DirtyKind::kTruncate:
      return "truncate";
    case DirtyKind::kRewrite:
      return "rewrite";
    case DirtyKind::kChildren:
      return "children";
  }
  return "unknown";
}

// What the log says, but for the values of rows; one line a transaction with entries.
text* ShowLog() {
  AwaitLog();
  StringInfoData out;
  initStringInfo(&out);
  for (;;) {
    DirtyTransaction transaction;
    const DirtyRead read = ReadDirtyLog(&cursor, &transaction);
    if (read == DirtyRead::kNothing) return cstring_to_text(out.data);
    if (read == DirtyRead::kLapped) {
      appendStringInfoString(&out, "lapped\n");
      continue;
    }
    if (transaction.entries + sizeof(DirtyEntry) / 2 > transaction.end) continue;
    appendStringInfo(&out, "subtransactions %u%s:", transaction.record->subxid_count,
                     transaction.record->too_many_subxids ? " too many" : "");
    DirtyEntry entry;
    for (char* at = transaction.entries; NextDirtyEntry(transaction, &at, &entry);) {
      appendStringInfo(&out, " %s", NameOf(entry.kind));
      if (entry.row)
        appendStringInfo(&out, "(%u)", entry.bytes);
      else
        appendStringInfo(&out, "(%s)", get_rel_name(entry.relation));
    }
    appendStringInfoChar(&out, '\n');
  }
}

text* ShowResult() {
  Showing showing = {};
  initStringInfo(&showing.out);
  appendStringInfoChar(&showing.out, '[');
  ReadResult(*shown->evaluation, shown->snapshots.after, shown->clock.after, SourceOf(&showing),
             ShowRow, &showing);
  appendStringInfoChar(&showing.out, ']');
  return cstring_to_text(showing.out.data);
}

}  // namespace
}  // namespace live_queries

// live_queries_delta_begin(query text): from now on it is about this query; takes a snapshot.
Datum live_queries_delta_begin(PG_FUNCTION_ARGS) {
  live_queries::Begin(text_to_cstring(PG_GETARG_TEXT_PP(0)));
  PG_RETURN_VOID();
}

// live_queries_delta_clock(time timestamptz): the time that is shown from the next snapshot on.
Datum live_queries_delta_clock(PG_FUNCTION_ARGS) {
  live_queries::next_time = PG_GETARG_TIMESTAMPTZ(0);
  PG_RETURN_VOID();
}

// Takes another snapshot; the one before is the state from which changes are told. In another
// transaction there is none before.
Datum live_queries_delta_move(PG_FUNCTION_ARGS) {
  live_queries::Move();
  PG_RETURN_VOID();
}

// The result under the newer snapshot, as inserts.
Datum live_queries_delta_result(PG_FUNCTION_ARGS) { PG_RETURN_TEXT_P(live_queries::ShowResult()); }

// live_queries_delta_changes(tables oid[], identities text[]): what has changed between the
// snapshots.
Datum live_queries_delta_changes(PG_FUNCTION_ARGS) {
  const live_queries::GivenRows given =
      live_queries::ReadGiven(PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_ARRAYTYPE_P(1));
  PG_RETURN_TEXT_P(live_queries::ShowChanges(&given, nullptr));
}

// live_queries_delta_away(away boolean): whether who watches the route that is shown is away.
// Returns false if there are no others: then nothing is evaluated.
Datum live_queries_delta_away(PG_FUNCTION_ARGS) {
  live_queries::Shown* shown = live_queries::shown;
  shown->is_away = PG_GETARG_BOOL(0) && shown->routing != NIL;
  PG_RETURN_BOOL(shown->routing != NIL);
}

// From now on, the tables of the query are watched in the dirty log.
Datum live_queries_delta_watch(PG_FUNCTION_ARGS) {
  live_queries::Watch();
  PG_RETURN_VOID();
}

// What has changed between the snapshots, by what the dirty log says.
Datum live_queries_delta_logged(PG_FUNCTION_ARGS) {
  PG_RETURN_TEXT_P(live_queries::ShowChanges(nullptr, live_queries::ReadBatch()));
}

// What the dirty log says.
Datum live_queries_delta_read_log(PG_FUNCTION_ARGS) { PG_RETURN_TEXT_P(live_queries::ShowLog()); }

// live_queries_delta_woken(milliseconds integer): whether this process is woken within that time.
Datum live_queries_delta_woken(PG_FUNCTION_ARGS) {
  ResetLatch(MyLatch);
  const int woken = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
                              PG_GETARG_INT32(0), PG_WAIT_EXTENSION);
  PG_RETURN_BOOL((woken & WL_LATCH_SET) != 0);
}
#endif
