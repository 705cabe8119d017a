// The server tells of changes by messages, of which there are many where temporary tables come and
// go: one that no template depends on costs a look-up. Process: decoder.
#include "template/unchecked.hpp"

#include "decode/recent_commits.hpp"
#include "template/template_table.hpp"

extern "C" {
#include "storage/sinval.h"
#include "utils/inval.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

bool decodes_log = false;
bool any_unchecked = false;  // beside those that were made since made_seen
bool any_values_unchecked = false;
uint64 made_seen = 0;
bool shared_catalog_changed = false;
bool flushing = false;  // nothing has changed
bool replaying = false;
uint64 heard_before_replay = 0;

// Whether anything was heard of a change since the last call.
bool HeardOfChanges() {
  static uint64 heard = 0;
  const bool changed = heard != SharedInvalidMessageCounter;
  heard = SharedInvalidMessageCounter;
  return changed;
}

// Whether the caches are told of nothing that others have told. What is replayed may not be visible
// yet, and will be told.
bool NothingIsTold() {
  return flushing || (replaying && heard_before_replay == SharedInvalidMessageCounter);
}

void MustCheck(Template* common) {
  common->unchecked = true;
  any_unchecked = true;
}

void OnRelationChange(Datum, Oid relation) {
  if (NothingIsTold()) return;
  if (OidIsValid(relation))
    ForEachTemplateOn(Subject::kRelation, relation, MustCheck);
  else
    ForEachTemplate([](Template* common) { MustCheck(common); });
}

template <class CacheId>  // a type of its own since 19
void OnCatalogChange(Datum, CacheId cache, uint32 hash) {
  if (NothingIsTold()) return;
  auto must_check = [&](Template* common) {
    MustCheck(common);
    common->function_changed = common->function_changed || cache == PROCOID;
  };
  if (hash != 0 && cache == PROCOID)
    ForEachTemplateOn(Subject::kFunction, hash, must_check);
  else if (hash != 0 && cache == TYPEOID)
    ForEachTemplateOn(Subject::kType, hash, must_check);
  else
    ForEachTemplate([&](Template* common) {
      if (DependsOnCatalog(common->dependencies, cache, hash)) must_check(common);
    });
}

// Of a catalog of the whole server, in which other databases' transactions write too.
template <class CacheId>
void OnSharedCatalogChange(Datum, CacheId, uint32) {
  if (!NothingIsTold()) shared_catalog_changed = true;
}

void MustCheckValues(Template* common) {
  common->values_unchecked = true;
  any_values_unchecked = true;
}

void MustCheckValuesOf(Template* common, bool catalogs_changed) {
  if (common->catalog_readers == 0) return;
  ++common->values_asked;
  if (catalogs_changed) ++common->catalog_changes;
  MustCheckValues(common);
}

void MustCheckAllValues() {
  ForEachTemplate([](Template* common) { MustCheckValuesOf(common, true); });
}

bool AnyValuesUnchecked() {
  const bool catalogs_changed = decodes_log ? TakeCatalogsChanged() : HeardOfChanges();
  if (catalogs_changed || shared_catalog_changed) MustCheckAllValues();
  shared_catalog_changed = false;
  return any_values_unchecked;
}

}  // namespace

void PrepareUnchecked(bool decodes) {
  decodes_log = decodes;
  CacheRegisterRelcacheCallback(OnRelationChange, 0);
  ListenToCatalogs(OnCatalogChange);
  for (const auto cache : {AUTHOID, AUTHMEMROLEMEM, DATABASEOID, TABLESPACEOID, PARAMETERACLOID})
    CacheRegisterSyscacheCallback(cache, OnSharedCatalogChange, 0);
}

void FlushCatalogCaches() {
  flushing = true;
  InvalidateSystemCaches();
  flushing = false;
}

void BeginReplay() {
  heard_before_replay = SharedInvalidMessageCounter;
  replaying = true;
}

void EndReplay() { replaying = false; }

void AddCatalogReader(Template* common) {
  ++common->catalog_readers;
  MustCheckValues(common);
}

bool AnyUnchecked() {
  (void)AnyValuesUnchecked();
  any_unchecked = any_unchecked || made_seen != TemplatesMade();
  made_seen = TemplatesMade();
  if (any_unchecked)
    ForEachTemplate([](Template* common) {
      if (common->unchecked) MustCheckValuesOf(common, false);
    });
  return any_unchecked || any_values_unchecked;
}

void TakeUncheckedValues(void (*check)(Template*, void*), void* context) {
  any_values_unchecked = false;
  List* unchecked = NIL;
  ForEachTemplate([&](Template* common) {
    if (common->values_unchecked) unchecked = lappend(unchecked, common);
  });
  ListCell* cell;
  foreach (cell, unchecked) {
    Template* common = static_cast<Template*>(lfirst(cell));
    // Before the check: what changes while it runs counts again.
    common->values_unchecked = false;
    check(common, context);
  }
  list_free(unchecked);
}

void CheckLater(Template* common) { MustCheck(common); }

void TakeUnchecked(void (*check)(Template*, void*), void* context) {
  any_unchecked = false;
  List* unchecked = NIL;
  ForEachTemplate([&](Template* common) {
    if (common->unchecked) unchecked = lappend(unchecked, common);
  });
  ListCell* cell;
  foreach (cell, unchecked) {
    Template* common = static_cast<Template*>(lfirst(cell));
    common->unchecked = false;
    check(common, context);
  }
  list_free(unchecked);
}

}  // namespace live_queries
