// Two hash tables: the text of a template to itself, and each thing that any depends on to those
// that do. Process: decoder.
#include "template/template_table.hpp"

#include "decode/watched_tables.hpp"
#include "pg/fault.hpp"
#include "pg/hash_table.hpp"
#include "pg/memory.hpp"
#include "registry/consumer.hpp"
#include "template/group_table.hpp"
#include "template/routing_group.hpp"
#include "template/routing_index.hpp"

extern "C" {
#include "common/hashfn.h"
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
  Template* common = bucket == nullptr ? nullptr : bucket->first;
  while (common != nullptr && strcmp(common->key, key) != 0) common = common->next;
  return common;
}

SubjectEntry* EntryOf(Subject subject, uint32 id, HASHACTION action, bool* found) {
  const SubjectKey key = {subject, id};
  return static_cast<SubjectEntry*>(hash_search(templates_by_subject, &key, action, found));
}

// Twice is once: what a template depends on may be listed twice.
void Index(Template* common, Subject subject, uint32 id) {
  bool found;
  SubjectEntry* entry = EntryOf(subject, id, HASH_ENTER, &found);
  if (!found) entry->templates = NIL;
  if (entry->templates != NIL && llast(entry->templates) == common) return;
  InMemoryContext(table_context, [&] { entry->templates = lappend(entry->templates, common); });
}

void Unindex(Template* common, Subject subject, uint32 id) {
  SubjectEntry* entry = EntryOf(subject, id, HASH_FIND, nullptr);
  if (entry == nullptr) return;
  entry->templates = list_delete_ptr(entry->templates, common);
  if (entry->templates == NIL) (void)EntryOf(subject, id, HASH_REMOVE, nullptr);
}

void ForEachSubject(Template* common, void (*visit)(Template*, Subject, uint32)) {
  ListCell* cell;
  if (common->spec.refresh_ms != 0) visit(common, Subject::kClock, 0);
  foreach (cell, common->spec.relations) visit(common, Subject::kRows, lfirst_oid(cell));
  foreach (cell, common->spec.parents) visit(common, Subject::kChildren, lfirst_oid(cell));
  const Dependencies& dependencies = common->dependencies;
  foreach (cell, dependencies.relations) visit(common, Subject::kRelation, lfirst_oid(cell));
  foreach (cell, dependencies.functions)
    visit(common, Subject::kFunction, static_cast<uint32>(lfirst_int(cell)));
  foreach (cell, dependencies.types)
    visit(common, Subject::kType, static_cast<uint32>(lfirst_int(cell)));
}

// Its memory is a child of the transaction's: an error frees it.
Template* MakeTemplate(const char* key, Oid role, const SessionIdentity& session,
                       const char* settings, const char* spec_text) {
  MemoryContext context =
      AllocSetContextCreate(CurTransactionContext, "live_queries template", ALLOCSET_SMALL_SIZES);
  return InMemoryContext(context, [&] {
    Template* common = AllocateIn<Template>(context);
    common->context = context;
    common->key = pstrdup(key);
    common->role = role;
    common->session = session;
    common->settings = pstrdup(settings);
    common->spec_text = common->key + (strlen(key) - strlen(spec_text));
    common->spec = SpecFromText(spec_text);
    common->unchecked = true;
    common->values_asked = 1;
    common->routing = MakeRoutingIndex(common->spec.routing_conditions);
    common->dependencies = DependenciesOf(common->spec);
    return common;
  });
}

// The tables whose rows, or children, are decoded for it: an evaluator reads the tables themselves.
// (One may be visited twice.)
void ForEachDecodedTable(const Template& common, void (*visit)(Oid)) {
  if (common.spec.query != nullptr) return;
  ListCell* cell;
  foreach (cell, common.spec.relations) visit(lfirst_oid(cell));
  foreach (cell, common.spec.parents) visit(lfirst_oid(cell));
}

// An error that is not for lack of memory has done nothing; one that is leaves the template half
// known.
void KeepTemplate(Template* common) {
  ForEachDecodedTable(*common, PrepareToWatch);
  const bool has_group = HasGroup(*common);
  damaged = true;
  MemoryContextSetParent(common->context, table_context);
  bool found;
  KeyBucket* bucket = BucketOf(common->key, HASH_ENTER, &found);
  common->next = found ? bucket->first : nullptr;
  bucket->first = common;
  ForEachSubject(common, Index);
  JoinGroup(common, has_group);
  ForEachDecodedTable(*common, WatchTable);
  ++made_count;
  MyConsumer()->templates.Add(1);
  damaged = false;
}

void FreeTemplate(Template* common) {
  KeyBucket* bucket = BucketOf(common->key, HASH_FIND, nullptr);
  Template** link = &bucket->first;
  while (*link != common) link = &(*link)->next;
  *link = common->next;
  if (bucket->first == nullptr) (void)BucketOf(common->key, HASH_REMOVE, nullptr);
  ForEachSubject(common, Unindex);
  LeaveGroup(common);
  ForEachDecodedTable(*common, UnwatchTable);
  MyConsumer()->templates.Subtract(1);
  MemoryContextDelete(common->context);
}

}  // namespace

void PrepareTemplates(MemoryContext context) {
  table_context = AllocSetContextCreate(context, "live_queries templates", ALLOCSET_DEFAULT_SIZES);
  MyConsumer()->templates.Store(0);
  templates_by_key = MakeHashTable("live_queries templates", &KeyBucket::hash, 256, table_context);
  templates_by_subject =
      MakeHashTable("live_queries templates by subject", &SubjectEntry::key, 64, table_context);
  PrepareRoutingGroups(table_context);
}

Route* UseRoute(Oid role, const SessionIdentity& session, const char* settings,
                const char* spec_text, const char* route_text) {
  const char* key = TemplateKey(role, session, settings, spec_text);
  if (Template* common = FindTemplate(key)) return FindOrAddRoute(common, route_text);
  // Not ours before it is complete.
  Template* made = MakeTemplate(key, role, session, settings, spec_text);
  LIVE_QUERIES_FAULT("template-made");
  Route* route = FindOrAddRoute(made, route_text);
  KeepTemplate(made);
  return route;
}

void DropRoute(Route* route) {
  Template* common = route->owner;
  FreeRoute(route);
  if (common->route_count == 0) FreeTemplate(common);
}

bool TemplatesAreDamaged() { return damaged; }

uint64 TemplatesMade() { return made_count; }

void DropPart(Template* common) {
  DropGroupPart(common);
  if (common->part == nullptr) return;
  MemoryContext context = common->part->context;
  common->part = nullptr;
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
    for (Template* common = bucket->first; common != nullptr; common = common->next)
      visit(common, context);
}

}  // namespace live_queries
