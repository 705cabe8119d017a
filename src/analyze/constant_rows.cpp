// ROW(1, 2) is simplified to a constant by the server; this makes it a row of constants again.
// Process: client backend, worker.
#include "analyze/constant_rows.hpp"

#include "analyze/tree.hpp"
#include "analyze/unsupported.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "utils/expandedrecord.h"
}

namespace live_queries {
namespace {

// ROW(...) of the fields of a constant that is not NULL. The server's expanded record takes it
// apart: DatumGetHeapTupleHeader is a function from 15.20 on, which 15.18 does not have.
Node* MakeRow(const Const& constant) {
  ExpandedRecordHeader* record = DatumGetExpandedRecord(constant.constvalue);
  deconstruct_expanded_record(record);
  TupleDesc fields = expanded_record_get_tupdesc(record);
  RowExpr* row = makeNode(RowExpr);
  row->row_typeid = RECORDOID;
  row->row_format = COERCE_EXPLICIT_CALL;
  row->location = -1;
  for (int i = 0; i < fields->natts; ++i) {
    const auto* field = TupleDescAttr(fields, i);
    Const* value =
        field->attisdropped
            ? makeNullConst(INT4OID, -1, InvalidOid)
            : makeConst(field->atttypid, field->atttypmod, field->attcollation, field->attlen,
                        record->dvalues[i], record->dnulls[i], field->attbyval);
    row->args = lappend(row->args, WithoutConstantRows(AsNode(value)));
    row->colnames = lappend(row->colnames, makeString(pstrdup(NameStr(field->attname))));
  }
  return AsNode(row);
}

Node* Replace(Node* node, void* unused) {
  if (node == nullptr) return nullptr;
  if (!IsA(node, Const) || castNode(Const, node)->constisnull)
    return RewriteChildren(node, Replace, unused);
  const auto& constant = *castNode(Const, node);
  if (constant.consttype == RECORDARRAYOID)
    RaiseUnsupported("it contains an array of rows without a type (cast them to one)");
  return constant.consttype == RECORDOID ? MakeRow(constant) : AsNode(CopyOf(&constant));
}

}  // namespace

Node* WithoutConstantRows(Node* tree) { return Replace(tree, nullptr); }

}  // namespace live_queries
