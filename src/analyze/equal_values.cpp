// The server says it of types whose values may be deduplicated in a B-tree. It does not say so of
// arrays and their like, for the sake of their bytes. Process: client backend, evaluator.
#include "analyze/equal_values.hpp"

#include "analyze/tree.hpp"

extern "C" {
#include "access/nbtree.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace live_queries {
namespace {

bool SameByOperatorClass(Oid type, Oid collation) {
  const Oid operator_class = GetDefaultOpClass(type, BTREE_AM_OID);
  if (!OidIsValid(operator_class)) return false;
  const Oid input = get_opclass_input_type(operator_class);
  if (type_is_collatable(input) && !OidIsValid(collation)) return false;
  const Oid says =
      get_opfamily_proc(get_opclass_family(operator_class), input, input, BTEQUALIMAGE_PROC);
  return OidIsValid(says) &&
         DatumGetBool(OidFunctionCall1Coll(says, collation, ObjectIdGetDatum(input)));
}

bool SameInAttributes(Oid type) {
  TupleDesc row = lookup_rowtype_tupdesc(type, -1);
  bool same = true;
  for (int i = 0; same && i < row->natts; ++i) {
    const FormData_pg_attribute& attribute = *TupleDescAttr(row, i);
    same = attribute.attisdropped ||
           EqualMeansSame(attribute.atttypid, attribute.atttypmod, attribute.attcollation);
  }
  ReleaseTupleDesc(row);
  return same;
}

// Functions whose results have one scale, or are never -0.
bool GivesOneForm(const FuncExpr& call) {
  switch (call.funcid) {
    case F_ROUND_NUMERIC:
    case F_TRUNC_NUMERIC:
    case F_CEIL_NUMERIC:
    case F_CEILING_NUMERIC:
    case F_FLOOR_NUMERIC:
      return true;
    case F_ROUND_NUMERIC_INT4:
    case F_TRUNC_NUMERIC_INT4:
      return IsA(lsecond(call.args), Const);
    case F_EXTRACT_TEXT_DATE:
    case F_EXTRACT_TEXT_TIME:
    case F_EXTRACT_TEXT_TIMETZ:
    case F_EXTRACT_TEXT_TIMESTAMP:
    case F_EXTRACT_TEXT_TIMESTAMPTZ:
      return IsA(linitial(call.args), Const);
    default:
      return false;
  }
}

}  // namespace

bool EqualMeansSame(Oid type, int32 typmod, Oid collation) {
  type = getBaseTypeAndTypmod(type, &typmod);
  if (type == NUMERICOID) return typmod >= 0;  // all values have its scale
  // All values are as long; of bpchar the server does not say it.
  if (type == BPCHAROID) return typmod >= 0 && SameByOperatorClass(TEXTOID, collation);
  if (const Oid element = get_element_type(type); OidIsValid(element))
    return EqualMeansSame(element, typmod, collation);
  switch (get_typtype(type)) {
    case TYPTYPE_COMPOSITE:
      return SameInAttributes(type);
    case TYPTYPE_RANGE:
      return EqualMeansSame(get_range_subtype(type), -1, get_range_collation(type));
    case TYPTYPE_MULTIRANGE:
      return EqualMeansSame(get_multirange_range(type), -1, InvalidOid);
    case TYPTYPE_PSEUDO:
      return false;
    default:
      return SameByOperatorClass(type, collation);
  }
}

bool EqualMeansSame(const Expr* expression) {
  const Node* node = reinterpret_cast<const Node*>(expression);
  if (EqualMeansSame(exprType(node), exprTypmod(node), exprCollation(node))) return true;
  if (IsA(node, FuncExpr)) return GivesOneForm(*reinterpret_cast<const FuncExpr*>(node));
  // A sum of integers has no scale.
  if (IsA(node, Aggref)) return reinterpret_cast<const Aggref*>(node)->aggfnoid == F_SUM_INT8;
  return IsA(node, Const);
}

bool HaveOneImage(const Expr* value) {
  const Oid type = getBaseType(exprType(reinterpret_cast<const Node*>(value)));
  const char kind = get_typtype(type);
  const bool made_of_others =
      OidIsValid(get_element_type(type)) || (kind != TYPTYPE_BASE && kind != TYPTYPE_ENUM);
  return !made_of_others && EqualMeansSame(value);
}

}  // namespace live_queries
