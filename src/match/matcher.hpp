// All templates of a database: finds those that a transaction is about and evaluates it on them.
// Process: decoder.
#pragma once

#include "decode/change_batch.hpp"
#include "pg/postgres.hpp"
#include "template/sink.hpp"
#include "template/template.hpp"

namespace live_queries {

// Prepares the tables of templates below `context`, and listens to catalog changes.
void PrepareMatcher(MemoryContext context);

// The route of a subscription in the template of its shape, both made if need be. In a transaction.
// An error leaves nothing of it behind; if it cannot (out of memory), MatcherIsDamaged.
Route* UseRoute(Oid role, const SessionIdentity& session, const char* settings,
                const char* spec_text, const char* route_text);
// Frees a route that has no subscribers any more, and with the last one its template.
void DropRoute(Route* route);
// Empties the server's caches of catalogs, of which the templates need not hear.
void FlushCatalogCaches();
// Whether nothing here can be used any more: the decoder has to end.
bool MatcherIsDamaged();

// Evaluates one transaction. In a transaction of the decoder's with an active snapshot. May raise
// errors of user expressions, within their guard.
void EvaluateBatch(ChangeBatch* batch, const Sink& sink);

// Forgets what the transaction that raised an error has left in the routes.
void AbandonEvaluation();

// One more that has frozen values, which it has not seen looked at yet: TakeUncheckedValues comes to
// its template, now and whenever a catalog has changed.
void AddCatalogReader(Template* one);

// Templates whose definitions, or values, may have changed since they were looked at.
bool AnyUnchecked();
bool AnyValuesUnchecked();
// Visits those, after marking them as looked at: first the ones with subscribers whose values may
// have changed (Template::values_asked); then the others, whose values are right.
void TakeUncheckedValues(void (*check)(Template*, void*), void* context);
void TakeUnchecked(void (*check)(Template*, void*), void* context);

uint64 TakeMatchedCount();

}  // namespace live_queries
