// Prepares a template's expressions for the executor when they are first needed, and drops them
// when the template is looked at again. Process: decoder.
#include "match/stream_template.hpp"

#include "pg/compat.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
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
  return Finished(descriptor);
}

bool UsesOnly(Expr* expression, List* columns) {
  ListCell* cell;
  foreach (cell, pull_var_clause(reinterpret_cast<Node*>(expression), 0)) {
    const Var* column = lfirst_node(Var, cell);
    if (!list_member_int(columns, column->varattno)) return false;
  }
  return true;
}

void FindIdentityColumns(StreamTemplate* stream, const QuerySpec& spec) {
  stream->column_in_identity = static_cast<bool*>(palloc0(list_length(spec.result_columns) + 1));
  stream->shows_identity_only = !spec.full_identity;
  ListCell* cell;
  foreach (cell, spec.result_columns) {
    const bool known =
        spec.full_identity || UsesOnly(lfirst_node(TargetEntry, cell)->expr, spec.identity);
    stream->column_in_identity[foreach_current_index(cell)] = known;
    stream->shows_identity_only = stream->shows_identity_only && known;
  }
}

// The result columns of old rows: what the replica identity does not tell is not evaluated, since a
// function may refuse the NULLs that stand there.
List* OldResultColumns(const StreamTemplate& stream, const QuerySpec& spec) {
  List* result_columns = NIL;
  ListCell* cell;
  foreach (cell, spec.result_columns) {
    TargetEntry* column = lfirst_node(TargetEntry, cell);
    if (!stream.column_in_identity[foreach_current_index(cell)]) {
      const Node* expression = reinterpret_cast<Node*>(column->expr);
      column = flatCopyTargetEntry(column);
      column->expr = reinterpret_cast<Expr*>(
          makeNullConst(exprType(expression), exprTypmod(expression), exprCollation(expression)));
    }
    result_columns = lappend(result_columns, column);
  }
  return result_columns;
}

}  // namespace

StreamTemplate* StreamPartOf(Template* common) {
  if (common->part == nullptr) {
    MemoryContext context = AllocSetContextCreate(common->context, "live_queries compiled template",
                                                  ALLOCSET_SMALL_SIZES);
    StreamTemplate* stream = AllocateIn<StreamTemplate>(context);
    stream->context = context;
    stream->common = common;
    common->part = stream;
  }
  return static_cast<StreamTemplate*>(common->part);
}

void Compile(StreamTemplate* stream) {
  if (stream->compiled) return;
  InMemoryContext(stream->context, [&] {
    const QuerySpec& spec = stream->common->spec;
    TupleDesc descriptor = MakeDescriptor(spec);
    stream->expressions = CreateStandaloneExprContext();
    stream->old_row = MakeSingleTupleTableSlot(descriptor, &TTSOpsVirtual);
    stream->new_row = MakeSingleTupleTableSlot(descriptor, &TTSOpsVirtual);
    stream->old_routes.Prepare(stream->context);
    stream->new_routes.Prepare(stream->context);
    stream->barrier_quals = ExecInitQual(spec.barrier_quals, nullptr);
    stream->quals = ExecInitQual(spec.quals, nullptr);
    FindIdentityColumns(stream, spec);
    stream->encoder = MakeRowEncoder(spec, stream->expressions);
    TupleDesc result = ExecTypeFromTL(spec.result_columns);
    auto project = [&](List* result_columns) {
      return ExecBuildProjectionInfo(result_columns, stream->expressions,
                                     MakeSingleTupleTableSlot(result, &TTSOpsVirtual), nullptr,
                                     descriptor);
    };
    stream->old_result = project(OldResultColumns(*stream, spec));
    stream->new_result = project(spec.result_columns);
  });
  stream->compiled = true;
}

}  // namespace live_queries
