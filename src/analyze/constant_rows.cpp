// ROW(1, 2) is simplified to a constant by the server; this makes it a row of constants again.
// Process: client backend, worker.
#include "analyze/constant_rows.hpp"

#include "analyze/tree.hpp"
#include "analyze/unsupported.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "utils/typcache.h"
}

namespace live_queries {
namespace {

// ROW(...) of the fields of a constant that is not NULL.
Node* MakeRow(const Const& constant) {
  HeapTupleHeader header = DatumGetHeapTupleHeader(constant.constvalue);
  TupleDesc fields = lookup_rowtype_tupdesc_copy(HeapTupleHeaderGetTypeId(header),
                                                 HeapTupleHeaderGetTypMod(header));
  HeapTupleData tuple = {};
  tuple.t_len = HeapTupleHeaderGetDatumLength(header);
  tuple.t_data = header;
  const auto count = static_cast<size_t>(fields->natts);
  Datum* values = static_cast<Datum*>(palloc(sizeof(Datum) * (count + 1)));
  bool* nulls = static_cast<bool*>(palloc(sizeof(bool) * (count + 1)));
  heap_deform_tuple(&tuple, fields, values, nulls);
  RowExpr* row = makeNode(RowExpr);
  row->row_typeid = RECORDOID;
  row->row_format = COERCE_EXPLICIT_CALL;
  row->location = -1;
  for (int i = 0; i < fields->natts; ++i) {
    const auto* field = TupleDescAttr(fields, i);
    Const* value = field->attisdropped
                       ? makeNullConst(INT4OID, -1, InvalidOid)
                       : makeConst(field->atttypid, field->atttypmod, field->attcollation,
                                   field->attlen, values[i], nulls[i], field->attbyval);
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
