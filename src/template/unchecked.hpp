// Which templates must be looked at before they are used again, because something in the catalogs
// has changed that they depend on. Process: decoder.
#pragma once

#include "pg/postgres.hpp"
#include "template/template.hpp"

namespace live_queries {

// Listens to changes of catalogs, after PrepareTemplates. `decodes`: this process learns from the
// commits that it has decoded that one has changed (decode/recent_commits.hpp).
void PrepareUnchecked(bool decodes);

// Empties the server's caches of catalogs, of which the templates need not hear.
void FlushCatalogCaches();

// Around the decoding of a record. A transaction that is replayed throws away what it has changed
// from the caches, when nobody may see that yet. The templates hear of it once it is told.
void BeginReplay();
void EndReplay();

// One more that has frozen values, which it has not seen looked at yet: TakeUncheckedValues comes
// to its template, now and whenever a catalog has changed.
void AddCatalogReader(Template* common);

// Templates whose definitions, or values, may have changed since they were looked at.
bool AnyUnchecked();
// Visits those, after marking them as looked at: first the ones with subscribers whose values may
// have changed (Template::values_asked); then the others, whose values are right.
void TakeUncheckedValues(void (*check)(Template*, void*), void* context);
void TakeUnchecked(void (*check)(Template*, void*), void* context);
// TakeUnchecked is to come to this one again.
void CheckLater(Template* common);

}  // namespace live_queries
