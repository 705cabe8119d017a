// Runs such expressions by the executor, under the present snapshot. Process: client backend,
// decoder.
#include "analyze/standalone.hpp"

#include "analyze/tree.hpp"

extern "C" {
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

bool ComesFromOutside(Node* node, void* unused) {
  if (node == nullptr) return false;
  switch (nodeTag(node)) {
    case T_Var:
    case T_Param:
    case T_CaseTestExpr:
    case T_CoerceToDomainValue:
    case T_SubLink:
    case T_Aggref:
    case T_GroupingFunc:
    case T_WindowFunc:
      return true;
    default:
      break;
  }
  // One that returns a set has many values.
  if (IsA(node, FuncExpr) && castNode(FuncExpr, node)->funcretset) return true;
  if (IsA(node, OpExpr) && castNode(OpExpr, node)->opretset) return true;
  return WalkChildren(node, ComesFromOutside, unused);
}

}  // namespace

bool NeedsSurroundings(Node* expression) { return ComesFromOutside(expression, nullptr); }

// By the executor: the planner's estimate of a value takes no notice of the checks of domains.
Const* EvaluateAlone(Node* expression) {
  const Oid type = exprType(expression);
  int16 length;
  bool by_value;
  get_typlenbyval(type, &length, &by_value);
  fix_opfuncids(expression);
  ExprContext* context = CreateStandaloneExprContext();
  ExprState* state = ExecInitExpr(reinterpret_cast<Expr*>(expression), nullptr);
  bool is_null;
  Datum value = ExecEvalExprSwitchContext(state, context, &is_null);
  if (!is_null && length == -1)
    value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
  else if (!is_null)
    value = datumCopy(value, by_value, length);
  FreeExprContext(context, true);
  return makeConst(type, exprTypmod(expression), exprCollation(expression), length,
                   is_null ? Datum{0} : value, is_null, by_value);
}

char* TextOfValue(const Const& value) {
  Oid output;
  bool is_varlena;
  getTypeOutputInfo(value.consttype, &output, &is_varlena);
  return OidOutputFunctionCall(output, value.constvalue);
}

}  // namespace live_queries
