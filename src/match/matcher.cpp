// The tables of templates and the loop over a transaction's changes. Process: decoder.
#include "match/matcher.hpp"

#include "decode/output_plugin.hpp"
#include "decode/watched_tables.hpp"
#include "match/evaluate.hpp"
#include "model/message.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "template/evaluation_clock.hpp"
#include "template/guard.hpp"
#include "template/routing_index.hpp"

extern "C" {
#include "common/hashfn.h"
#include "executor/executor.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

constexpr size_t kPieceBytes = 4 * 1024 * 1024;

struct TemplateBucket {
  uint32 hash;  // hash key
  Template* first;
};

struct TableEntry {
  Oid relation;  // hash key
  List* templates;
};

MemoryContext matcher_context = nullptr;
MemoryContext piece_context = nullptr;
HTAB* templates_by_key = nullptr;
HTAB* templates_by_table = nullptr;
bool any_unchecked = false;
bool any_values_unchecked = false;
bool shared_catalog_changed = false;
bool damaged = false;   // MatcherIsDamaged
bool flushing = false;  // FlushCatalogCaches: nothing has changed
Touched touched = {};
uint64 matched_count = 0;

template <class Visit>
void ForEachTemplate(Visit&& visit) {
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, templates_by_key);
  while (auto* bucket = static_cast<TemplateBucket*>(hash_seq_search(&scan)))
    for (Template* one = bucket->first; one != nullptr; one = one->next) visit(one);
}

void MustCheck(Template* one) {
  one->unchecked = true;
  any_unchecked = true;
}

void OnRelationChange(Datum, Oid relation) {
  if (templates_by_key == nullptr || flushing) return;
  ForEachTemplate([&](Template* one) {
    if (DependsOnRelation(one->dependencies, relation)) MustCheck(one);
  });
}

void OnCatalogChange(Datum, int cache, uint32 hash) {
  if (templates_by_key == nullptr || flushing) return;
  ForEachTemplate([&](Template* one) {
    if (!DependsOnCatalog(one->dependencies, cache, hash)) return;
    MustCheck(one);
    one->function_changed = one->function_changed || cache == PROCOID;
  });
}

// Of a catalog of the whole server, in which other databases' transactions write too.
void OnSharedCatalogChange(Datum, int, uint32) {
  if (!flushing) shared_catalog_changed = true;
}

void MustCheckValues(Template* one) {
  one->values_unchecked = true;
  any_values_unchecked = true;
}

void MustCheckValuesOf(Template* one, bool catalogs_changed) {
  if (one->catalog_readers == 0) return;
  ++one->values_asked;
  if (catalogs_changed) ++one->catalog_changes;
  MustCheckValues(one);
}

void MustCheckAllValues() {
  ForEachTemplate([](Template* one) { MustCheckValuesOf(one, true); });
}

char* TemplateKey(Oid role, const SessionIdentity& session, const char* settings,
                  const char* spec_text) {
  return psprintf("%u %u %u %d\n%s%s", role, session.user, session.set_role, session.may_become,
                  settings, spec_text);
}

TemplateBucket* BucketOf(const char* key, HASHACTION action, bool* found) {
  const uint32 hash =
      hash_bytes(reinterpret_cast<const unsigned char*>(key), static_cast<int>(strlen(key)));
  return static_cast<TemplateBucket*>(hash_search(templates_by_key, &hash, action, found));
}

void IndexTables(Template* one) {
  ListCell* cell;
  foreach (cell, one->spec.relations) {
    const Oid relation = lfirst_oid(cell);
    bool found;
    auto* entry =
        static_cast<TableEntry*>(hash_search(templates_by_table, &relation, HASH_ENTER, &found));
    if (!found) entry->templates = NIL;
    InMemoryContext(matcher_context, [&] { entry->templates = lappend(entry->templates, one); });
    WatchTable(relation);
  }
}

void UnindexTables(Template* one) {
  ListCell* cell;
  foreach (cell, one->spec.relations) {
    const Oid relation = lfirst_oid(cell);
    UnwatchTable(relation);
    auto* entry =
        static_cast<TableEntry*>(hash_search(templates_by_table, &relation, HASH_FIND, nullptr));
    entry->templates = list_delete_ptr(entry->templates, one);
    if (entry->templates == NIL) hash_search(templates_by_table, &relation, HASH_REMOVE, nullptr);
  }
}

Template* FindTemplate(const char* key) {
  TemplateBucket* bucket = BucketOf(key, HASH_FIND, nullptr);
  Template* one = bucket == nullptr ? nullptr : bucket->first;
  while (one != nullptr && strcmp(one->key, key) != 0) one = one->next;
  return one;
}

// May ereport out of memory alone, and leaves the template half known then.
void KeepTemplate(Template* one) {
  damaged = true;
  bool found;
  TemplateBucket* bucket = BucketOf(one->key, HASH_ENTER, &found);
  one->next = found ? bucket->first : nullptr;
  bucket->first = one;
  IndexTables(one);
  any_unchecked = true;
  damaged = false;
}

// Without anybody who listens, a template is not evaluated: after a change of the table, what it was
// compiled for may not even exist.
void NoteForTemplate(Template* common, int change, List** relevant) {
  if (common->listening == 0) return;
  StreamTemplate* stream = StreamPartOf(common);
  if (stream->piece_count == 0) *relevant = lappend(*relevant, stream);
  if (stream->piece_count > 0 && stream->piece[stream->piece_count - 1] == change) return;
  stream->piece[stream->piece_count++] = change;
}

// StreamTemplates with changes in the piece.
List* RelevantTemplates(const DecodedChange* changes, int count) {
  List* relevant = NIL;
  auto note_table = [&](Oid relation, int change) {
    auto* entry =
        static_cast<TableEntry*>(hash_search(templates_by_table, &relation, HASH_FIND, nullptr));
    ListCell* cell;
    foreach (cell, entry == nullptr ? NIL : entry->templates)
      NoteForTemplate(static_cast<Template*>(lfirst(cell)), change, &relevant);
  };
  for (int i = 0; i < count; ++i) {
    const Change& change = changes[i].change;
    if (!IsAboutTables(change.kind)) note_table(change.shape->relation, i);
    for (int k = 0; k < change.table_count; ++k) note_table(change.tables[k], i);
  }
  return relevant;
}

bool IsWhollyTruncated(const Template& one, const Change& change) {
  ListCell* cell;
  foreach (cell, one.spec.relations) {
    bool found = false;
    for (int i = 0; i < change.table_count; ++i)
      found = found || change.tables[i] == lfirst_oid(cell);
    if (!found) return false;
  }
  return true;
}

struct ResetArguments {
  const Sink* sink;
  uint64_t seq;
  const char* reason;
};

void ResetTemplate(Template* one, ResetArguments arguments) {
  BlamingNobody([&] {
    ForEachRoute(
        one,
        [](Route* route, void* context) {
          const ResetArguments* reset = static_cast<ResetArguments*>(context);
          reset->sink->reset(*route, reset->seq, reset->reason);
        },
        &arguments);
  });
}

void HandOver(Route* route, const Origin& origin, const Sink& sink) {
  if (route->body.len > 0) sink.changes(*route, origin, {View(route->body), route->change_count});
  ClearBody(route);
}

void FlushLongRoutes(const Origin& origin, const Sink& sink) {
  if (!touched.long_bodies) return;
  touched.long_bodies = false;
  BlamingNobody([&] {
    for (Route* route = touched.first; route != nullptr; route = route->next_touched)
      if (route->body.len >= static_cast<int>(kMessageSplitBytes)) HandOver(route, origin, sink);
  });
}

void EvaluateChanges(StreamTemplate* stream, DecodedChange* changes, const Origin& origin,
                     const Sink& sink) {
  Template* common = stream->common;
  Compile(stream);
  LIVE_QUERIES_FAULT("matcher-evaluate");
  for (int i = 0; i < stream->piece_count; ++i) {
    DecodedChange* decoded = &changes[stream->piece[i]];
    if (decoded->change.kind == ChangeKind::kTruncate) {
      if (LIVE_QUERIES_MUTATION("ignore_truncate")) continue;
      if (IsWhollyTruncated(*common, decoded->change))
        EvaluateClear(common, &touched);
      else
        ResetTemplate(common, {&sink, origin.seq, "a part of the table was truncated"});
    } else if (decoded->change.kind == ChangeKind::kRewrite) {
      ResetTemplate(common, {&sink, origin.seq, "all rows of the table were rewritten"});
    } else if (const char* problem = Evaluate(stream, decoded, &touched)) {
      ResetTemplate(common, {&sink, origin.seq, problem});
    }
    FlushLongRoutes(origin, sink);
  }
}

void EvaluatePiece(StreamTemplate* stream, DecodedChange* changes, const Origin& origin,
                   const Sink& sink) {
  Template* common = stream->common;
  if (RoleIsSpent(common->role)) {
    ResetTemplate(common, {&sink, origin.seq, kRoleIsSpentReason});
  } else {
    Guard(common, stream->piece_count, [&] { EvaluateChanges(stream, changes, origin, sink); });
    // A large row would stay here until the next one.
    ResetExprContext(stream->expressions);
  }
  stream->piece_count = 0;
}

// Reads up to a piece; returns how many changes.
int ReadPiece(ChangeBatch* batch, DecodedChange* changes) {
  MemoryContextReset(piece_context);
  int count = 0;
  size_t bytes = 0;
  while (count < kPieceChanges && bytes < kPieceBytes) {
    DecodedChange* decoded = &changes[count];
    if (!batch->Next(piece_context, &decoded->change)) break;
    decoded->taken_apart = false;
    bytes += decoded->change.old_row.t_len + decoded->change.new_row.t_len;
    ++count;
  }
  return count;
}

}  // namespace

void PrepareMatcher(MemoryContext context) {
  matcher_context = AllocSetContextCreate(context, "live_queries matcher", ALLOCSET_DEFAULT_SIZES);
  piece_context = AllocSetContextCreate(context, "live_queries piece", ALLOCSET_DEFAULT_SIZES);
  HASHCTL control = {};
  control.keysize = sizeof(uint32);
  control.entrysize = sizeof(TemplateBucket);
  control.hcxt = matcher_context;
  templates_by_key =
      hash_create("live_queries templates", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
  control.keysize = sizeof(Oid);
  control.entrysize = sizeof(TableEntry);
  templates_by_table = hash_create("live_queries templates by table", 64, &control,
                                   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
  CacheRegisterRelcacheCallback(OnRelationChange, 0);
  ListenToCatalogs(OnCatalogChange);
  for (int cache : {AUTHOID, AUTHMEMROLEMEM, DATABASEOID, TABLESPACEOID, PARAMETERACLOID})
    CacheRegisterSyscacheCallback(cache, OnSharedCatalogChange, 0);
}

Route* UseRoute(Oid role, const SessionIdentity& session, const char* settings,
                const char* spec_text, const char* route_text) {
  const char* key = TemplateKey(role, session, settings, spec_text);
  if (Template* one = FindTemplate(key)) return FindOrAddRoute(one, route_text);
  // Not ours before it is complete: an error frees it.
  Template* made = MakeTemplate(CurTransactionContext, key, role, session, settings, spec_text);
  LIVE_QUERIES_FAULT("template-made");
  Route* route = FindOrAddRoute(made, route_text);
  MemoryContextSetParent(made->context, matcher_context);
  KeepTemplate(made);
  return route;
}

void FlushCatalogCaches() {
  flushing = true;
  InvalidateSystemCaches();
  flushing = false;
}

bool MatcherIsDamaged() { return damaged; }

void DropRoute(Route* route) {
  Template* one = route->owner;
  FreeRoute(route);
  if (one->route_count > 0) return;
  UnindexTables(one);
  TemplateBucket* bucket = BucketOf(one->key, HASH_FIND, nullptr);
  Template** link = &bucket->first;
  while (*link != one) link = &(*link)->next;
  *link = one->next;
  if (bucket->first == nullptr) BucketOf(one->key, HASH_REMOVE, nullptr);
  FreeTemplate(one);
}

void EvaluateBatch(ChangeBatch* batch, const Sink& sink) {
  static DecodedChange changes[kPieceChanges];
  const Origin origin = {batch->commit_end, batch->xid, batch->committed_at};
  batch->Rewind();
  while (const int count = ReadPiece(batch, changes)) {
    MemoryContext outer = MemoryContextSwitchTo(piece_context);
    List* relevant = RelevantTemplates(changes, count);
    ListCell* cell;
    foreach (cell, relevant)
      EvaluatePiece(static_cast<StreamTemplate*>(lfirst(cell)), changes, origin, sink);
    MemoryContextSwitchTo(outer);
  }
  while (touched.first != nullptr) {
    Route* route = touched.first;
    touched.first = route->next_touched;
    route->touched = false;
    HandOver(route, origin, sink);
  }
  matched_count += touched.matched;
  touched = {};
}

void AbandonEvaluation() {
  while (touched.first != nullptr) {
    Route* route = touched.first;
    touched.first = route->next_touched;
    route->touched = false;
    ClearBody(route);
  }
  touched = {};
  ForEachTemplate([](Template* one) {
    if (one->part != nullptr) StreamPartOf(one)->piece_count = 0;
  });
}

void AddCatalogReader(Template* one) {
  ++one->catalog_readers;
  MustCheckValues(one);
}

bool AnyValuesUnchecked() {
  const bool catalogs_changed = TakeCatalogsChanged();
  if (catalogs_changed || shared_catalog_changed) MustCheckAllValues();
  shared_catalog_changed = false;
  return any_values_unchecked;
}

bool AnyUnchecked() {
  (void)AnyValuesUnchecked();
  if (any_unchecked)
    ForEachTemplate([](Template* one) {
      if (one->unchecked) MustCheckValuesOf(one, false);
    });
  return any_unchecked || any_values_unchecked;
}

void TakeUncheckedValues(void (*check)(Template*, void*), void* context) {
  any_values_unchecked = false;
  List* unchecked = NIL;
  ForEachTemplate([&](Template* one) {
    if (one->values_unchecked) unchecked = lappend(unchecked, one);
  });
  ListCell* cell;
  foreach (cell, unchecked) {
    Template* one = static_cast<Template*>(lfirst(cell));
    // Before the check: what changes while it runs counts again.
    one->values_unchecked = false;
    check(one, context);
  }
  list_free(unchecked);
}

void TakeUnchecked(void (*check)(Template*, void*), void* context) {
  any_unchecked = false;
  List* unchecked = NIL;
  ForEachTemplate([&](Template* one) {
    if (one->unchecked) unchecked = lappend(unchecked, one);
  });
  ListCell* cell;
  foreach (cell, unchecked) {
    Template* one = static_cast<Template*>(lfirst(cell));
    one->unchecked = false;
    check(one, context);
  }
  list_free(unchecked);
}

uint64 TakeMatchedCount() {
  const uint64 taken = matched_count;
  matched_count = 0;
  return taken;
}

}  // namespace live_queries
