// Rows come in the shape (columns and types) that their table had when they were written: finds a
// template's columns in it, by number in the table itself and by name in a partition. Process:
// decoder.
#include "match/column_map.hpp"

#include "pg/hash_table.hpp"

extern "C" {
#include "nodes/value.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

// Whether the column of a partition or child has, after the transaction that is evaluated, the name
// that it had at its place of it: if not, names have been exchanged for a while.
bool KeepsName(Oid relation, AttrNumber number, const char* name) {
  const char* now = get_attname(relation, number, true);
  return now != nullptr && strcmp(now, name) == 0;
}

AttrNumber PositionIn(const RowShape& shape, const QuerySpec& spec, const Var& column,
                      const char* name) {
  TupleDesc descriptor = shape.descriptor;
  // The table itself goes by number, so that a column may be renamed; a partition by name.
  for (int i = 0; i < descriptor->natts; ++i) {
    const FormData_pg_attribute* attribute = TupleDescAttr(descriptor, i);
    const bool same = shape.relation == spec.relation
                          ? attribute->attnum == column.varattno
                          : strcmp(NameStr(attribute->attname), name) == 0;
    if (!same || attribute->attisdropped) continue;
    if (shape.relation != spec.relation && !KeepsName(shape.relation, attribute->attnum, name))
      return -1;
    return attribute->atttypid == column.vartype ? static_cast<AttrNumber>(i) : -1;
  }
  return -1;
}

// The places in rows of a shape, as attribute numbers, of those columns of the template that are in
// `columns`.
List* PlacesOf(List* columns, const QuerySpec& spec, const ColumnMap& map) {
  List* places = NIL;
  ListCell* cell;
  foreach (cell, spec.columns)
    if (list_member_int(columns, lfirst_node(Var, cell)->varattno))
      places = lappend_int(places, map.positions[foreach_current_index(cell)] + 1);
  return places;
}

// Of sets that are not empty.
bool IsSubset(List* columns, List* of) {
  return columns != NIL && list_difference_int(columns, of) == NIL;
}

// Whether rows were in the table that the query names, or in a partition of it that was not
// detached.
bool AreOfTable(const RowShape& shape, const QuerySpec& spec) {
  return shape.relation == spec.relation || list_member_oid(shape.ancestors, spec.relation);
}

// Whether no two rows had the same key, if the result has one. Within a transaction that may come
// and go. (A row of a child is in a bag.)
bool KeepsRowsApart(const RowShape& shape, const QuerySpec& spec, const ColumnMap& map) {
  if (spec.bag) return true;
  if (!AreOfTable(shape, spec)) return false;
  List* key = PlacesOf(spec.key, spec, map);
  return IsSubset(shape.primary_key, key) || IsSubset(shape.identity, key);
}

// Whether old rows are known as the query was analysed: by the columns that it needs of them. An
// update without an old row has left these alone.
bool KnowsOldRows(const RowShape& shape, const QuerySpec& spec, const ColumnMap& map) {
  if (shape.full_identity) return true;
  return !spec.full_identity &&
         list_difference_int(PlacesOf(spec.identity, spec, map), shape.identity) == NIL;
}

size_t BytesOf(int column_count) {
  return offsetof(ColumnMap, positions) + sizeof(AttrNumber) * static_cast<size_t>(column_count);
}

// Those of shapes that are gone would never be found again: all are made anew.
void PrepareMaps(ColumnMaps* maps, MemoryContext context, int column_count) {
  if (maps->by_shape != nullptr && maps->generation == ShapeGeneration()) return;
  maps->last = nullptr;
  if (maps->by_shape != nullptr) hash_destroy(maps->by_shape);
  maps->by_shape = nullptr;
  maps->by_shape = MakeHashTable("live_queries column maps", &ColumnMap::shape_number, 4, context,
                                 BytesOf(column_count));
  maps->generation = ShapeGeneration();
}

// The place of a map, which was `*found` or is to be filled in. Most templates only ever see one
// shape: the first map stands alone, as a table takes 8 kB.
ColumnMap* PlaceOf(ColumnMaps* maps, MemoryContext context, int column_count, uint32 shape_number,
                   bool* found) {
  if (maps->last == nullptr && maps->by_shape == nullptr) {
    *found = false;
    auto* first = static_cast<ColumnMap*>(MemoryContextAllocZero(context, BytesOf(column_count)));
    first->shape_number = shape_number;
    return first;
  }
  PrepareMaps(maps, context, column_count);
  return static_cast<ColumnMap*>(hash_search(maps->by_shape, &shape_number, HASH_ENTER, found));
}

// After an error nothing fits.
void FillIn(ColumnMap* map, const QuerySpec& spec, const RowShape& shape) {
  map->fits = map->keeps_rows_apart = map->knows_old_rows = false;
  bool fits = true;
  ListCell* cell;
  foreach (cell, spec.columns) {
    const int i = foreach_current_index(cell);
    map->positions[i] =
        PositionIn(shape, spec, *lfirst_node(Var, cell), strVal(list_nth(spec.column_names, i)));
    fits = fits && map->positions[i] >= 0;
  }
  map->keeps_rows_apart = fits && KeepsRowsApart(shape, spec, *map);
  map->knows_old_rows = fits && KnowsOldRows(shape, spec, *map);
  map->fits = fits;
}

}  // namespace

const ColumnMap* MapFor(ColumnMaps* maps, MemoryContext context, const QuerySpec& spec,
                        const RowShape* shape) {
  // A number is never used again, so this one is still right.
  if (maps->last != nullptr && maps->last->shape_number == shape->number) return maps->last;
  const int count = list_length(spec.columns);
  bool found;
  ColumnMap* map = PlaceOf(maps, context, count, shape->number, &found);
  if (!found) FillIn(map, spec, *shape);
  maps->last = map;
  return map;
}

}  // namespace live_queries
