// All templates of a database, by what they are, whose rows they are about and what they depend on.
// Process: decoder.
#pragma once

#include "pg/postgres.hpp"
#include "template/template.hpp"

namespace live_queries {

void PrepareTemplates(MemoryContext context);

// The route of a subscription in the template of its shape, both made if need be. In a transaction.
// An error leaves nothing of it behind; if it cannot (out of memory), TemplatesAreDamaged.
Route* UseRoute(Oid role, const SessionIdentity& session, const char* settings,
                const char* spec_text, const char* route_text);
// Frees a route that has no subscribers any more, and with the last one its template.
void DropRoute(Route* route);
// Whether nothing here can be used any more: the worker has to end.
bool TemplatesAreDamaged();
// Another number whenever a template has been made.
uint64 TemplatesMade();

// Frees what its strategy has added to a template.
void DropPart(Template* common);

// What templates depend on, and are found by.
enum class Subject : uint32 {
  kRows,      // of a table, by its oid
  kChildren,  // which partitions or children a table has, by its oid
  kRelation,  // its definition or rights, by its oid
  kFunction,  // by its hash in the catalog cache
  kType,      // likewise
  kClock,     // 0: there is one
};

// Those that depend on it. Valid until one is made or dropped. Never ereports.
const List* TemplatesOn(Subject subject, uint32 id);

template <class Visit>
void ForEachTemplateOn(Subject subject, uint32 id, Visit&& visit) {
  ListCell* cell;
  foreach (cell, TemplatesOn(subject, id)) visit(static_cast<Template*>(lfirst(cell)));
}

// Visits each; none may be made or dropped meanwhile.
void ForEachTemplate(void (*visit)(Template*, void*), void* context);

template <class Visit>
void ForEachTemplate(Visit&& visit) {
  ForEachTemplate([](Template* common,
                     void* body) { (*static_cast<std::remove_reference_t<Visit>*>(body))(common); },
                  &visit);
}

}  // namespace live_queries
