// Two hash tables: the text of a template to itself, and each thing that any depends on to those
// that do. Process: decoder.
#include "template/template_table.hpp"

#include "decode/watched_tables.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "template/routing_index.hpp"

extern "C" {
#include "common/hashfn.h"
#include "utils/hsearch.h"
}

namespace live_queries {
namespace {

struct KeyBucket {
  uint32 hash;  // hash key
  Template* first;
};

struct SubjectKey {
  Subject subject;
  uint32 id;
};

struct SubjectEntry {
  SubjectKey key;  // hash key
  List* templates;
};

MemoryContext table_context = nullptr;
HTAB* templates_by_key = nullptr;
HTAB* templates_by_subject = nullptr;
uint64 made_count = 0;
bool damaged = false;

char* TemplateKey(Oid role, const SessionIdentity& session, const char* settings,
                  const char* spec_text) {
  return psprintf("%u %u %u %d\n%s%s", role, session.user, session.set_role, session.may_become,
                  settings, spec_text);
}

KeyBucket* BucketOf(const char* key, HASHACTION action, bool* found) {
  const uint32 hash =
      hash_bytes(reinterpret_cast<const unsigned char*>(key), static_cast<int>(strlen(key)));
  return static_cast<KeyBucket*>(hash_search(templates_by_key, &hash, action, found));
}

Template* FindTemplate(const char* key) {
  KeyBucket* bucket = BucketOf(key, HASH_FIND, nullptr);
  Template* one = bucket == nullptr ? nullptr : bucket->first;
  while (one != nullptr && strcmp(one->key, key) != 0) one = one->next;
  return one;
}

SubjectEntry* EntryOf(Subject subject, uint32 id, HASHACTION action, bool* found) {
  const SubjectKey key = {subject, id};
  return static_cast<SubjectEntry*>(hash_search(templates_by_subject, &key, action, found));
}

// Twice is once: what a template depends on may be listed twice.
void Index(Template* one, Subject subject, uint32 id) {
  bool found;
  SubjectEntry* entry = EntryOf(subject, id, HASH_ENTER, &found);
  if (!found) entry->templates = NIL;
  if (entry->templates != NIL && llast(entry->templates) == one) return;
  InMemoryContext(table_context, [&] { entry->templates = lappend(entry->templates, one); });
}

void Unindex(Template* one, Subject subject, uint32 id) {
  SubjectEntry* entry = EntryOf(subject, id, HASH_FIND, nullptr);
  if (entry == nullptr) return;
  entry->templates = list_delete_ptr(entry->templates, one);
  if (entry->templates == NIL) (void)EntryOf(subject, id, HASH_REMOVE, nullptr);
}

void ForEachSubject(Template* one, void (*visit)(Template*, Subject, uint32)) {
  ListCell* cell;
  foreach (cell, one->spec.relations) visit(one, Subject::kRows, lfirst_oid(cell));
  const Dependencies& dependencies = one->dependencies;
  foreach (cell, dependencies.relations) visit(one, Subject::kRelation, lfirst_oid(cell));
  foreach (cell, dependencies.functions)
    visit(one, Subject::kFunction, static_cast<uint32>(lfirst_int(cell)));
  foreach (cell, dependencies.types)
    visit(one, Subject::kType, static_cast<uint32>(lfirst_int(cell)));
}

// Its memory is a child of the transaction's: an error frees it.
Template* MakeTemplate(const char* key, Oid role, const SessionIdentity& session,
                       const char* settings, const char* spec_text) {
  MemoryContext context =
      AllocSetContextCreate(CurTransactionContext, "live_queries template", ALLOCSET_SMALL_SIZES);
  return InMemoryContext(context, [&] {
    Template* one = AllocateIn<Template>(context);
    one->context = context;
    one->key = pstrdup(key);
    one->role = role;
    one->session = session;
    one->settings = pstrdup(settings);
    one->spec_text = pstrdup(spec_text);
    one->spec = SpecFromText(spec_text);
    one->unchecked = true;
    one->values_asked = 1;
    one->routing = MakeRoutingIndex(one->spec.routing_conditions);
    one->dependencies = DependenciesOf(one->spec);
    return one;
  });
}

// May ereport out of memory alone, and leaves the template half known then.
void KeepTemplate(Template* one) {
  damaged = true;
  MemoryContextSetParent(one->context, table_context);
  bool found;
  KeyBucket* bucket = BucketOf(one->key, HASH_ENTER, &found);
  one->next = found ? bucket->first : nullptr;
  bucket->first = one;
  ForEachSubject(one, Index);
  ListCell* cell;
  foreach (cell, one->spec.relations) WatchTable(lfirst_oid(cell));
  ++made_count;
  damaged = false;
}

void FreeTemplate(Template* one) {
  KeyBucket* bucket = BucketOf(one->key, HASH_FIND, nullptr);
  Template** link = &bucket->first;
  while (*link != one) link = &(*link)->next;
  *link = one->next;
  if (bucket->first == nullptr) (void)BucketOf(one->key, HASH_REMOVE, nullptr);
  ForEachSubject(one, Unindex);
  ListCell* cell;
  foreach (cell, one->spec.relations) UnwatchTable(lfirst_oid(cell));
  MemoryContextDelete(one->context);
}

}  // namespace

void PrepareTemplates(MemoryContext context) {
  table_context = AllocSetContextCreate(context, "live_queries templates", ALLOCSET_DEFAULT_SIZES);
  HASHCTL control = {};
  control.keysize = sizeof(uint32);
  control.entrysize = sizeof(KeyBucket);
  control.hcxt = table_context;
  templates_by_key =
      hash_create("live_queries templates", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
  control.keysize = sizeof(SubjectKey);
  control.entrysize = sizeof(SubjectEntry);
  templates_by_subject = hash_create("live_queries templates by subject", 64, &control,
                                     HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

Route* UseRoute(Oid role, const SessionIdentity& session, const char* settings,
                const char* spec_text, const char* route_text) {
  const char* key = TemplateKey(role, session, settings, spec_text);
  if (Template* one = FindTemplate(key)) return FindOrAddRoute(one, route_text);
  // Not ours before it is complete.
  Template* made = MakeTemplate(key, role, session, settings, spec_text);
  LIVE_QUERIES_FAULT("template-made");
  Route* route = FindOrAddRoute(made, route_text);
  KeepTemplate(made);
  return route;
}

void DropRoute(Route* route) {
  Template* one = route->owner;
  FreeRoute(route);
  if (one->route_count == 0) FreeTemplate(one);
}

bool TemplatesAreDamaged() { return damaged; }

uint64 TemplatesMade() { return made_count; }

void DropPart(Template* one) {
  if (one->part == nullptr) return;
  MemoryContext context = one->part->context;
  one->part = nullptr;
  MemoryContextDelete(context);
}

const List* TemplatesOn(Subject subject, uint32 id) {
  const SubjectEntry* entry = EntryOf(subject, id, HASH_FIND, nullptr);
  return entry == nullptr ? NIL : entry->templates;
}

void ForEachTemplate(void (*visit)(Template*, void*), void* context) {
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, templates_by_key);
  while (auto* bucket = static_cast<KeyBucket*>(hash_seq_search(&scan)))
    for (Template* one = bucket->first; one != nullptr; one = one->next) visit(one, context);
}

}  // namespace live_queries
