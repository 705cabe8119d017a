// The server tells of changes by messages, of which there are many where temporary tables come and
// go: one that no template depends on costs a look-up. Process: decoder.
#include "template/unchecked.hpp"

#include "decode/output_plugin.hpp"
#include "template/template_table.hpp"

extern "C" {
#include "utils/inval.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

bool any_unchecked = false;  // beside those that were made since made_seen
bool any_values_unchecked = false;
uint64 made_seen = 0;
bool shared_catalog_changed = false;
bool flushing = false;  // nothing has changed

void MustCheck(Template* one) {
  one->unchecked = true;
  any_unchecked = true;
}

void OnRelationChange(Datum, Oid relation) {
  if (flushing) return;
  if (OidIsValid(relation))
    ForEachTemplateOn(Subject::kRelation, relation, MustCheck);
  else
    ForEachTemplate([](Template* one) { MustCheck(one); });
}

void OnCatalogChange(Datum, int cache, uint32 hash) {
  if (flushing) return;
  auto must_check = [&](Template* one) {
    MustCheck(one);
    one->function_changed = one->function_changed || cache == PROCOID;
  };
  if (hash != 0 && cache == PROCOID)
    ForEachTemplateOn(Subject::kFunction, hash, must_check);
  else if (hash != 0 && cache == TYPEOID)
    ForEachTemplateOn(Subject::kType, hash, must_check);
  else
    ForEachTemplate([&](Template* one) {
      if (DependsOnCatalog(one->dependencies, cache, hash)) must_check(one);
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

}  // namespace

void PrepareUnchecked() {
  CacheRegisterRelcacheCallback(OnRelationChange, 0);
  ListenToCatalogs(OnCatalogChange);
  for (int cache : {AUTHOID, AUTHMEMROLEMEM, DATABASEOID, TABLESPACEOID, PARAMETERACLOID})
    CacheRegisterSyscacheCallback(cache, OnSharedCatalogChange, 0);
}

void FlushCatalogCaches() {
  flushing = true;
  InvalidateSystemCaches();
  flushing = false;
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
  any_unchecked = any_unchecked || made_seen != TemplatesMade();
  made_seen = TemplatesMade();
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

}  // namespace live_queries
