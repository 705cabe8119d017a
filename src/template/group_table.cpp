// Finds the group of a template by what its index hashes. The hash function of a type runs for all
// templates of a group at once, so that nobody could be to blame for it: it has to be the server's.
// Process: decoder.
#include "template/group_table.hpp"

#include "pg/hash_table.hpp"
#include "pg/memory.hpp"
#include "template/routing_group.hpp"
#include "template/routing_index.hpp"

extern "C" {
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

// One template alone asks its own index.
constexpr int kTemplatesOfHash = 2;

MemoryContext groups_context = nullptr;
HTAB* tables = nullptr;

TableTemplates* TableOf(Oid relation, HASHACTION action, bool* found) {
  return static_cast<TableTemplates*>(hash_search(tables, &relation, action, found));
}

// Whether hashing a value of the column calls no code of users, nor anything that may be dropped:
// it is for all templates at once, so that nobody could be to blame.
bool IsHashedByServer(const RoutingCondition& condition) {
  const bool known_type =
      condition.type < FirstUnpinnedObjectId || get_typtype(condition.type) == TYPTYPE_ENUM;
  const bool known_collation =
      OidIsValid(condition.collation) || !OidIsValid(get_typcollation(condition.type));
  return known_type && known_collation && condition.collation < FirstUnpinnedObjectId &&
         condition.hash.fn_oid < FirstUnpinnedObjectId;
}

bool AreHashedByServer(List* conditions) {
  ListCell* cell;
  foreach (cell, conditions)
    if (!IsHashedByServer(*static_cast<RoutingCondition*>(lfirst(cell)))) return false;
  return conditions != NIL;
}

int PlaceInColumns(const QuerySpec& spec, AttrNumber number) {
  ListCell* cell;
  foreach (cell, spec.columns)
    if (lfirst_node(Var, cell)->varattno == number) return foreach_current_index(cell);
  return -1;
}

// What `conditions` hash, as a bag: the rest of a row does not matter. It stays with `spec`.
QuerySpec ColumnsOf(const QuerySpec& spec, List* conditions) {
  QuerySpec columns = {};
  columns.relation = spec.relation;
  columns.relations = spec.relations;
  columns.bag = true;
  ListCell* cell;
  foreach (cell, conditions) {
    const AttrNumber number = static_cast<RoutingCondition*>(lfirst(cell))->column;
    const int place = PlaceInColumns(spec, number);
    columns.columns = lappend(columns.columns, list_nth(spec.columns, place));
    columns.column_names = lappend(columns.column_names, list_nth(spec.column_names, place));
    columns.identity = lappend_int(columns.identity, number);
  }
  return columns;
}

bool HashAlike(const RoutingGroup& group, List* conditions) {
  ListCell* cell;
  foreach (cell, conditions) {
    const RoutingCondition& a = *static_cast<RoutingCondition*>(lfirst(cell));
    const RoutingCondition& b = group.conditions[foreach_current_index(cell)];
    if (a.type != b.type || a.collation != b.collation || a.hash.fn_oid != b.hash.fn_oid)
      return false;
  }
  return true;
}

RoutingGroup* FindGroup(const QuerySpec& columns, List* conditions) {
  const TableTemplates* table = TemplatesOfTable(linitial_oid(columns.relations));
  if (table == nullptr) return nullptr;
  ListCell* cell;
  foreach (cell, table->groups) {
    auto* group = static_cast<RoutingGroup*>(lfirst(cell));
    const QuerySpec& known = group->columns;
    if (known.relation == columns.relation && equal(known.columns, columns.columns) &&
        equal(known.column_names, columns.column_names) &&
        equal(known.relations, columns.relations) && HashAlike(*group, conditions))
      return group;
  }
  return nullptr;
}

TableTemplates* MakeTable(Oid relation) {
  bool found;
  TableTemplates* table = TableOf(relation, HASH_ENTER, &found);
  if (!found) table->groups = table->others = NIL;
  return table;
}

void FreeTableIfEmpty(TableTemplates* table) {
  if (table->groups == NIL && table->others == NIL)
    (void)TableOf(table->relation, HASH_REMOVE, nullptr);
}

template <class T>
T* Copied(T* node) {
  return static_cast<T*>(copyObjectImpl(node));
}

RoutingGroup* MakeGroup(const QuerySpec& columns, List* conditions) {
  MemoryContext context =
      AllocSetContextCreate(groups_context, "live_queries routing group", ALLOCSET_SMALL_SIZES);
  RoutingGroup* group = InMemoryContext(context, [&] {
    RoutingGroup* made = AllocateIn<RoutingGroup>(context);
    made->context = context;
    made->columns = columns;
    made->columns.columns = Copied(columns.columns);
    made->columns.column_names = Copied(columns.column_names);
    made->columns.relations = list_copy(columns.relations);
    made->columns.identity = list_copy(columns.identity);
    made->condition_count = list_length(conditions);
    made->conditions = static_cast<RoutingCondition*>(
        palloc0(sizeof(RoutingCondition) * static_cast<size_t>(made->condition_count)));
    ListCell* cell;
    foreach (cell, conditions) {
      const auto& of_template = *static_cast<RoutingCondition*>(lfirst(cell));
      RoutingCondition* condition = &made->conditions[foreach_current_index(cell)];
      condition->kind = RoutingKind::kEquality;
      condition->column = of_template.column;
      condition->type = of_template.type;
      condition->length = of_template.length;
      condition->collation = of_template.collation;
      condition->hash_collation = of_template.hash_collation;
      // What the function remembers stays with the group.
      fmgr_info(of_template.hash.fn_oid, &condition->hash);
    }
    return made;
  });
  ListCell* cell;
  foreach (cell, group->columns.relations) {
    TableTemplates* table = MakeTable(lfirst_oid(cell));
    InMemoryContext(groups_context, [&] { table->groups = lappend(table->groups, group); });
  }
  return group;
}

void FreeGroup(RoutingGroup* group) {
  ListCell* cell;
  foreach (cell, group->columns.relations) {
    TableTemplates* table = TableOf(lfirst_oid(cell), HASH_FIND, nullptr);
    table->groups = list_delete_ptr(table->groups, group);
    FreeTableIfEmpty(table);
  }
  MemoryContextDelete(group->context);
}

// What the routes of a template want.
void AddAllOf(Template* common) {
  ForEachHash(
      common->routing,
      [](uint32 hash, void* added) { AddOnceToGroup(static_cast<Template*>(added), hash); },
      common);
}

void JoinOthers(Template* common) {
  ListCell* cell;
  foreach (cell, common->spec.relations) {
    TableTemplates* table = MakeTable(lfirst_oid(cell));
    InMemoryContext(groups_context, [&] { table->others = lappend(table->others, common); });
  }
}

void LeaveOthers(Template* common) {
  ListCell* cell;
  foreach (cell, common->spec.relations) {
    TableTemplates* table = TableOf(lfirst_oid(cell), HASH_FIND, nullptr);
    table->others = list_delete_ptr(table->others, common);
    FreeTableIfEmpty(table);
  }
}

// Whether changes of rows are decoded for it.
bool HasRows(const QuerySpec& spec) { return spec.query == nullptr && spec.relations != NIL; }

}  // namespace

void PrepareRoutingGroups(MemoryContext context) {
  groups_context =
      AllocSetContextCreate(context, "live_queries routing groups", ALLOCSET_DEFAULT_SIZES);
  tables = MakeHashTable("live_queries tables of templates", &TableTemplates::relation, 64,
                         groups_context);
}

bool HasGroup(const Template& common) {
  return HasRows(common.spec) && AreHashedByServer(HashedConditions(common.routing));
}

void JoinGroup(Template* common, bool has_group) {
  if (!HasRows(common->spec)) return;
  if (!has_group) return JoinOthers(common);
  List* conditions = HashedConditions(common->routing);
  const QuerySpec columns = ColumnsOf(common->spec, conditions);
  RoutingGroup* group = FindGroup(columns, conditions);
  if (group == nullptr) group = MakeGroup(columns, conditions);
  InMemoryContext(group->context, [&] { group->templates = lappend(group->templates, common); });
  common->group = group;
  if (group->owners.IsMade()) return AddAllOf(common);
  if (list_length(group->templates) < kTemplatesOfHash) return;
  MakeOwners(group);
  ListCell* cell;
  foreach (cell, group->templates) AddAllOf(static_cast<Template*>(lfirst(cell)));
}

void LeaveGroup(Template* common) {
  if (!HasRows(common->spec)) return;
  RoutingGroup* group = common->group;
  if (group == nullptr) return LeaveOthers(common);
  common->group = nullptr;
  group->templates = list_delete_ptr(group->templates, common);
  if (group->templates == NIL) FreeGroup(group);
}

const TableTemplates* TemplatesOfTable(Oid relation) {
  return TableOf(relation, HASH_FIND, nullptr);
}

}  // namespace live_queries
