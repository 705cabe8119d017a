// Where the rows do not say what they had in the columns of a group, all of it are visited: each of
// them knows what that means for it. Process: decoder.
#include "match/concerned_templates.hpp"

#include "decode/watched_tables.hpp"
#include "match/column_map.hpp"
#include "pg/fault.hpp"
#include "pg/memory.hpp"
#include "template/group_table.hpp"
#include "template/routing_group.hpp"

namespace live_queries {
namespace {

// Where the columns of a group are in rows.
struct GroupPart : StrategyPart {
  ColumnMaps maps;
};

GroupPart* PartOf(RoutingGroup* group) {
  if (group->part == nullptr) {
    MemoryContext context = AllocSetContextCreate(group->context, "live_queries columns of a group",
                                                  ALLOCSET_SMALL_SIZES);
    GroupPart* part = AllocateIn<GroupPart>(context);
    part->context = context;
    group->part = part;
  }
  return static_cast<GroupPart*>(group->part);
}

struct Visitor {
  void (*visit)(Template*, void*);
  void* context;
};

void VisitAll(List* templates, const Visitor& visitor) {
  ListCell* cell;
  foreach (cell, templates) visitor.visit(static_cast<Template*>(lfirst(cell)), visitor.context);
}

// What a row has in the columns of a group.
struct RowHash {
  enum : uint8_t {
    kNothing,  // NULL in one of them, or no row: no condition holds
    kValues,
    kUnknown,
  } has;
  uint32 hash;
};

RowHash HashOf(const RoutingGroup& group, const ColumnMap& map, const DecodedRow& row) {
  if (!row.present) return {RowHash::kNothing, 0};
  for (int i = 0; i < group.condition_count; ++i)
    if (row.nulls[map.positions[i]]) return {RowHash::kNothing, 0};
  uint32 hash = 0;
  for (int i = 0; i < group.condition_count; ++i) {
    RoutingCondition* condition = &group.conditions[i];
    const Datum value = row.values[map.positions[i]];
    // It may be gone from where it was; whose fault that is, a template says.
    if (condition->length == -1 && VARATT_IS_EXTERNAL(DatumGetPointer(value)))
      return {RowHash::kUnknown, 0};
    hash = AddToHash(hash, condition, value);
  }
  return {RowHash::kValues, hash};
}

// Whether rows of that change say what they had in the columns of a group. An update without an old
// row has left the columns of the identity alone.
bool SaysWhatItHad(const ColumnMap& map, const DecodedChange& decoded) {
  const ChangeKind kind = decoded.change.kind;
  if (!map.fits) return false;
  if (kind == ChangeKind::kInsert) return true;
  return map.knows_old_rows && (kind == ChangeKind::kUpdate || decoded.old_row.present);
}

void VisitGroup(RoutingGroup* group, DecodedChange* decoded, const Visitor& visitor) {
  if (!group->owners.IsMade()) return VisitAll(group->templates, visitor);
  TakeApart(decoded);
  GroupPart* part = PartOf(group);
  const ColumnMap* map = MapFor(&part->maps, part->context, group->columns, decoded->change.shape);
  if (!SaysWhatItHad(*map, *decoded)) return VisitAll(group->templates, visitor);
  RowHash before = HashOf(*group, *map, decoded->old_row);
  const RowHash after = HashOf(*group, *map, decoded->new_row);
  if (before.has == RowHash::kUnknown || after.has == RowHash::kUnknown)
    return VisitAll(group->templates, visitor);
  if (LIVE_QUERIES_MUTATION("look_up_new_row_alone") && after.has != RowHash::kNothing)
    before.has = RowHash::kNothing;
  if (after.has == RowHash::kValues)
    ForEachOwner(group, after.hash, visitor.visit, visitor.context);
  const bool alike = after.has == RowHash::kValues && after.hash == before.hash;
  if (before.has == RowHash::kValues && !alike)
    ForEachOwner(group, before.hash, visitor.visit, visitor.context);
}

}  // namespace

void ForEachConcerned(DecodedChange* decoded, void (*visit)(Template*, void*), void* context) {
  const TableTemplates* table = TemplatesOfTable(decoded->change.shape->relation);
  if (table == nullptr) return;
  const Visitor visitor = {visit, context};
  VisitAll(table->others, visitor);
  ListCell* cell;
  foreach (cell, table->groups)
    VisitGroup(static_cast<RoutingGroup*>(lfirst(cell)), decoded, visitor);
}

}  // namespace live_queries
