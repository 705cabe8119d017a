// Compiles templates. Process: decoder.
#include "template/template.hpp"

#include "decode/watched_tables.hpp"
#include "model/json_text.hpp"
#include "pg/compat.hpp"
#include "pg/memory.hpp"
#include "query/key.hpp"
#include "template/routing_index.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

// A descriptor with the columns that the template uses in their places; nothing ever reads the
// others, which are always NULL.
TupleDesc MakeDescriptor(const QuerySpec& spec) {
  TupleDesc descriptor = CreateTemplateTupleDesc(spec.column_count);
  for (int number = 1; number <= spec.column_count; ++number)
    TupleDescInitEntry(descriptor, static_cast<AttrNumber>(number), nullptr, INT4OID, -1, 0);
  ListCell* cell;
  foreach (cell, spec.columns) {
    const Var* column = lfirst_node(Var, cell);
    TupleDescInitEntry(descriptor, column->varattno,
                       strVal(list_nth(spec.column_names, foreach_current_index(cell))),
                       column->vartype, column->vartypmod, 0);
    TupleDescInitEntryCollation(descriptor, column->varattno, column->varcollid);
  }
  return descriptor;
}

// to_json prepared for values of the type of `expression`.
void PrepareToJson(FmgrInfo* function, Expr* expression) {
  fmgr_info(F_TO_JSON, function);
  FuncExpr* call = makeFuncExpr(F_TO_JSON, JSONOID, list_make1(expression), InvalidOid, InvalidOid,
                                COERCE_EXPLICIT_CALL);
  fmgr_info_set_expr(reinterpret_cast<Node*>(call), function);
}

bool UsesOnly(Expr* expression, List* columns) {
  ListCell* cell;
  foreach (cell, pull_var_clause(reinterpret_cast<Node*>(expression), 0)) {
    const Var* column = lfirst_node(Var, cell);
    if (!list_member_int(columns, column->varattno)) return false;
  }
  return true;
}

void PrepareColumns(CompiledTemplate* compiled, const QuerySpec& spec) {
  const int count = list_length(spec.result_columns);
  compiled->column_json = static_cast<FmgrInfo*>(palloc0(sizeof(FmgrInfo) * (count + 1)));
  compiled->column_names =
      static_cast<StringInfoData*>(palloc0(sizeof(StringInfoData) * (count + 1)));
  compiled->column_in_identity = static_cast<bool*>(palloc0(count + 1));
  ListCell* cell;
  foreach (cell, spec.result_columns) {
    const int i = foreach_current_index(cell);
    const TargetEntry* column = lfirst_node(TargetEntry, cell);
    PrepareToJson(&compiled->column_json[i], column->expr);
    initStringInfo(&compiled->column_names[i]);
    StringInfoSink sink{&compiled->column_names[i]};
    EscapeJson(sink, std::string_view(column->resname));
    sink.Append(std::string_view(":"));
    compiled->column_in_identity[i] = spec.full_identity || UsesOnly(column->expr, spec.identity);
  }
}

// The result columns of old rows: what the replica identity does not tell is not evaluated, since a
// function may refuse the NULLs that stand there.
List* OldResultColumns(const CompiledTemplate& compiled, const QuerySpec& spec) {
  List* result_columns = NIL;
  ListCell* cell;
  foreach (cell, spec.result_columns) {
    TargetEntry* column = lfirst_node(TargetEntry, cell);
    if (!compiled.column_in_identity[foreach_current_index(cell)]) {
      const Node* expression = reinterpret_cast<Node*>(column->expr);
      column = flatCopyTargetEntry(column);
      column->expr = reinterpret_cast<Expr*>(
          makeNullConst(exprType(expression), exprTypmod(expression), exprCollation(expression)));
    }
    result_columns = lappend(result_columns, column);
  }
  return result_columns;
}

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

// Whether old rows are known as the query was analysed: by the columns that it needs of them (then
// an update without an old row has left these alone), and each by a key that no other row had.
// Within a transaction that may come and go.
bool KnowsOldRows(const RowShape& shape, const QuerySpec& spec, const ColumnMap& map) {
  if (spec.full_identity && !shape.full_identity) return false;
  if (!shape.full_identity &&
      list_difference_int(PlacesOf(spec.identity, spec, map), shape.identity) != NIL)
    return false;
  if (spec.bag) return true;
  if (shape.relation != spec.relation && !shape.is_partition) return false;
  List* key = PlacesOf(spec.key, spec, map);
  return IsSubset(shape.primary_key, key) || IsSubset(shape.identity, key);
}

// Those of shapes that are gone would never be found again: all are made anew.
void PrepareMaps(CompiledTemplate* compiled, int column_count) {
  if (compiled->maps != nullptr && compiled->maps_generation == ShapeGeneration()) return;
  compiled->last_map = nullptr;
  if (compiled->maps != nullptr) hash_destroy(compiled->maps);
  compiled->maps = nullptr;
  HASHCTL control = {};
  control.keysize = sizeof(uint32);
  control.entrysize = offsetof(ColumnMap, positions) + sizeof(AttrNumber) * column_count;
  control.hcxt = compiled->context;
  compiled->maps =
      hash_create("live_queries column maps", 4, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
  compiled->maps_generation = ShapeGeneration();
}

}  // namespace

Template* MakeTemplate(MemoryContext parent, const char* key, Oid role,
                       const SessionIdentity& session, const char* settings,
                       const char* spec_text) {
  MemoryContext context =
      AllocSetContextCreate(parent, "live_queries template", ALLOCSET_SMALL_SIZES);
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
    one->piece_changes = nullptr;
    PrepareRouting(one);
    one->dependencies = DependenciesOf(one->spec);
    return one;
  });
}

void FreeTemplate(Template* one) {
  DropCompiled(one);
  MemoryContextDelete(one->context);
}

CompiledTemplate* Compile(Template* one) {
  if (one->compiled != nullptr) return one->compiled;
  MemoryContext context =
      AllocSetContextCreate(one->context, "live_queries compiled template", ALLOCSET_SMALL_SIZES);
  InMemoryContext(context, [&] {
    CompiledTemplate* compiled = AllocateIn<CompiledTemplate>(context);
    compiled->context = context;
    const QuerySpec& spec = one->spec;
    TupleDesc descriptor = MakeDescriptor(spec);
    compiled->expressions = CreateStandaloneExprContext();
    compiled->old_row = MakeSingleTupleTableSlot(descriptor, &TTSOpsVirtual);
    compiled->new_row = MakeSingleTupleTableSlot(descriptor, &TTSOpsVirtual);
    compiled->barrier_quals = ExecInitQual(spec.barrier_quals, nullptr);
    compiled->quals = ExecInitQual(spec.quals, nullptr);
    PrepareColumns(compiled, spec);
    compiled->expressions->ecxt_param_list_info = KeyParams(spec);
    compiled->key = spec.bag ? nullptr : ExecInitExpr(KeyExpression(spec), nullptr);
    TupleDesc result = ExecTypeFromTL(spec.result_columns);
    auto project = [&](List* result_columns) {
      return ExecBuildProjectionInfo(result_columns, compiled->expressions,
                                     MakeSingleTupleTableSlot(result, &TTSOpsVirtual), nullptr,
                                     descriptor);
    };
    compiled->old_result = project(OldResultColumns(*compiled, spec));
    compiled->new_result = project(spec.result_columns);
    one->compiled = compiled;
  });
  return one->compiled;
}

void DropCompiled(Template* one) {
  CompiledTemplate* compiled = one->compiled;
  if (compiled == nullptr) return;
  one->compiled = nullptr;
  FreeExprContext(compiled->expressions, false);
  MemoryContextDelete(compiled->context);
}

const ColumnMap* MapFor(Template* one, const RowShape* shape) {
  CompiledTemplate* compiled = one->compiled;
  // A number is never used again, so this one is still right.
  if (compiled->last_map != nullptr && compiled->last_map->shape_number == shape->number)
    return compiled->last_map;
  const int count = list_length(one->spec.columns);
  PrepareMaps(compiled, count);
  bool found;
  ColumnMap* map =
      static_cast<ColumnMap*>(hash_search(compiled->maps, &shape->number, HASH_ENTER, &found));
  compiled->last_map = map;
  if (found) return map;
  map->fits = true;
  for (int i = 0; i < count; ++i) {
    map->positions[i] = PositionIn(*shape, one->spec, *list_nth_node(Var, one->spec.columns, i),
                                   strVal(list_nth(one->spec.column_names, i)));
    map->fits = map->fits && map->positions[i] >= 0;
  }
  map->knows_old_rows = map->fits && KnowsOldRows(*shape, one->spec, *map);
  return map;
}

}  // namespace live_queries
