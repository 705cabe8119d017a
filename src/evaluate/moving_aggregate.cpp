// As the server's nodeWindowAgg.c does it for the frames of windows: initialize_peragg,
// initialize_windowaggregate, advance_windowaggregate, advance_windowaggregate_base and
// finalize_windowaggregate. Process: evaluator.
#include "evaluate/moving_aggregate.hpp"

#include "analyze/tree.hpp"
#include "pg/compat.hpp"
#include "pg/memory.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/execnodes.h"
#include "parser/parse_agg.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"
}

namespace live_queries {
namespace {

Datum InitialValue(Datum written, Oid type) {
  Oid input;
  Oid parameter;
  getTypeInputInfo(type, &input, &parameter);
  return OidInputFunctionCall(input, TextDatumGetCString(written), parameter, -1);
}

void PrepareCall(Oid function, Expr* expression, FmgrInfo* info) {
  fmgr_info(function, info);
  info->fn_expr = AsNode(expression);
}

void PrepareCalls(const Aggref& call, Oid* types, Oid state_type, MovingAggregate* aggregate) {
  Expr* transition;
  Expr* inverse;
  build_aggregate_transfn_expr(types, aggregate->argument_count, 0, false, state_type,
                               call.inputcollid, aggregate->transition_oid, aggregate->inverse_oid,
                               &transition, &inverse);
  PrepareCall(aggregate->transition_oid, transition, &aggregate->transition);
  if (OidIsValid(aggregate->inverse_oid))
    PrepareCall(aggregate->inverse_oid, inverse, &aggregate->inverse);
  if (!OidIsValid(aggregate->final_oid)) return;
  Expr* final;
  build_aggregate_finalfn_expr(types, aggregate->final_argument_count, state_type, call.aggtype,
                               call.inputcollid, aggregate->final_oid, &final);
  PrepareCall(aggregate->final_oid, final, &aggregate->final);
}

void CheckStrictness(const MovingAggregate& aggregate, const Oid* types, Oid state_type) {
  if (aggregate.transition.fn_strict && aggregate.initial_is_null &&
      (aggregate.argument_count < 1 || !IsBinaryCoercible(types[0], state_type)))
    ereport(ERROR, errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
            errmsg("aggregate %u needs to have compatible input type and transition type",
                   aggregate.function));
  if (OidIsValid(aggregate.inverse_oid) &&
      aggregate.transition.fn_strict != aggregate.inverse.fn_strict)
    ereport(ERROR, errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
            errmsg("strictness of aggregate's forward and inverse transition functions must "
                   "match"));
}

void CheckFunction(Oid function, Oid role) {
  if (!MayExecute(function, role))
    aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(function));
  InvokeFunctionExecuteHook(function);
}

// Fills the arguments behind the state. Returns whether the row counts.
bool FillArguments(const MovingAggregate& aggregate, const Datum* row, const bool* nulls,
                   FunctionCallInfo call) {
  const MovingInput& input = *aggregate.input;
  if (input.filter != 0 && (nulls[input.filter - 1] || !DatumGetBool(row[input.filter - 1])))
    return false;
  bool any_null = false;
  for (int i = 0; i < aggregate.argument_count; ++i) {
    call->args[i + 1].value = row[input.first - 1 + i];
    call->args[i + 1].isnull = nulls[input.first - 1 + i];
    any_null = any_null || call->args[i + 1].isnull;
  }
  return !(any_null && aggregate.transition.fn_strict);
}

void CopyIntoState(const MovingAggregate& aggregate, Datum value, MovingState* state) {
  if (aggregate.state_by_value) {
    state->value = value;
    return;
  }
  // It is to outlast the row, and what is stored beside that.
  if (aggregate.state_length == -1) value = PointerGetDatum(PG_DETOAST_DATUM_PACKED(value));
  InMemoryContext(state->context, [&] {
    state->value = datumCopy(value, aggregate.state_by_value, aggregate.state_length);
  });
}

// Calls a transition function for a state and the arguments that stand in `call`.
Datum CallFor(const MovingAggregate& aggregate, FmgrInfo* function, const MovingState& state,
              FunctionCallInfo call) {
  InitFunctionCallInfoData(*call, function, static_cast<short>(aggregate.argument_count + 1),
                           aggregate.collation, aggregate.caller, nullptr);
  call->args[0].value = state.value;
  call->args[0].isnull = state.is_null;
  auto* caller = castNode(WindowAggState, aggregate.caller);
  caller->curaggcontext = state.context;
  const Datum value = FunctionCallInvoke(call);
  caller->curaggcontext = nullptr;
  return value;
}

void Replace(const MovingAggregate& aggregate, Datum value, MovingState* state) {
  const Datum former = state->value;
  if (aggregate.state_by_value || DatumGetPointer(value) != DatumGetPointer(former)) {
    CopyIntoState(aggregate, value, state);
    if (!aggregate.state_by_value && !state->is_null) pfree(DatumGetPointer(former));
  }
  state->is_null = false;
}

bool IsTheExtreme(const MovingAggregate& aggregate, Datum value, const MovingState& state) {
  auto* comparison = const_cast<FmgrInfo*>(&aggregate.comparison);
  return DatumGetInt32(FunctionCall2Coll(comparison, aggregate.collation, value, state.value)) == 0;
}

}  // namespace

MovingAggregate MakeMovingAggregate(const MovingInput* input) {
  const Aggref& call = *input->aggregate;
  MovingAggregate aggregate = {};
  aggregate.input = input;
  aggregate.function = call.aggfnoid;
  aggregate.collation = call.inputcollid;
  aggregate.caller = AsNode(makeNode(WindowAggState));
  Oid types[FUNC_MAX_ARGS];
  aggregate.argument_count = get_aggregate_argtypes(const_cast<Aggref*>(&call), types);
  HeapTuple tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(call.aggfnoid));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for aggregate %u", call.aggfnoid);
  const auto* form = reinterpret_cast<Form_pg_aggregate>(GETSTRUCT(tuple));
  const bool extreme = input->extreme;
  aggregate.transition_oid = extreme ? form->aggtransfn : form->aggmtransfn;
  aggregate.inverse_oid = extreme ? InvalidOid : form->aggminvtransfn;
  aggregate.final_oid = extreme ? InvalidOid : form->aggmfinalfn;
  aggregate.final_argument_count = form->aggmfinalextra ? aggregate.argument_count + 1 : 1;
  const Oid state_type =
      resolve_aggregate_transtype(call.aggfnoid, extreme ? form->aggtranstype : form->aggmtranstype,
                                  types, aggregate.argument_count);
  const Datum initial = SysCacheGetAttr(
      AGGFNOID, tuple, extreme ? Anum_pg_aggregate_agginitval : Anum_pg_aggregate_aggminitval,
      &aggregate.initial_is_null);
  if (extreme)
    fmgr_info(lookup_type_cache(state_type, TYPECACHE_CMP_PROC)->cmp_proc, &aggregate.comparison);
  if (!aggregate.initial_is_null) aggregate.initial = InitialValue(initial, state_type);
  ReleaseSysCache(tuple);
  PrepareCalls(call, types, state_type, &aggregate);
  CheckStrictness(aggregate, types, state_type);
  get_typlenbyval(state_type, &aggregate.state_length, &aggregate.state_by_value);
  aggregate.state_has_memory = !aggregate.state_by_value || state_type == INTERNALOID;
  return aggregate;
}

void CheckMayCall(const MovingAggregate& aggregate) {
  if (!MayExecute(aggregate.function, GetUserId()))
    aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_AGGREGATE, get_func_name(aggregate.function));
  InvokeFunctionExecuteHook(aggregate.function);
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(aggregate.function));
  if (!HeapTupleIsValid(tuple))
    elog(ERROR, "cache lookup failed for function %u", aggregate.function);
  const Oid owner = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple))->proowner;
  ReleaseSysCache(tuple);
  CheckFunction(aggregate.transition_oid, owner);
  if (OidIsValid(aggregate.inverse_oid)) CheckFunction(aggregate.inverse_oid, owner);
  if (OidIsValid(aggregate.final_oid)) CheckFunction(aggregate.final_oid, owner);
}

void BeginState(const MovingAggregate& aggregate, MemoryContext context, MovingState* state) {
  *state = {};
  if (aggregate.state_has_memory)
    state->context =
        AllocSetContextCreate(context, "live_queries state of an aggregate", ALLOCSET_SMALL_SIZES);
  ResetState(aggregate, state);
}

void ResetState(const MovingAggregate& aggregate, MovingState* state) {
  if (state->context != nullptr) MemoryContextReset(state->context);
  state->value = Datum{0};
  state->is_null = aggregate.initial_is_null;
  state->count = 0;
  if (!aggregate.initial_is_null) CopyIntoState(aggregate, aggregate.initial, state);
}

void TakeIn(const MovingAggregate& aggregate, const Datum* row, const bool* nulls,
            MovingState* state) {
  LOCAL_FCINFO(call, FUNC_MAX_ARGS);
  if (!FillArguments(aggregate, row, nulls, call)) return;
  if (aggregate.transition.fn_strict && state->is_null) {
    // The first value is the state then.
    CopyIntoState(aggregate, call->args[1].value, state);
    state->is_null = false;
    state->count = 1;
    return;
  }
  auto* function = const_cast<FmgrInfo*>(&aggregate.transition);
  const Datum value = CallFor(aggregate, function, *state, call);
  if (call->isnull)
    ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
            errmsg("moving-aggregate transition function must not return null"));
  ++state->count;
  Replace(aggregate, value, state);
}

bool TakeOut(const MovingAggregate& aggregate, const Datum* row, const bool* nulls,
             MovingState* state) {
  LOCAL_FCINFO(call, FUNC_MAX_ARGS);
  if (!FillArguments(aggregate, row, nulls, call)) return true;
  if (state->count < 1 || state->is_null)
    elog(ERROR, "a row has left the aggregate of a live query that was not in it");
  // That of none may be NULL, which an inverse function does not return.
  if (state->count == 1) {
    ResetState(aggregate, state);
    return true;
  }
  if (!OidIsValid(aggregate.inverse_oid)) {
    if (IsTheExtreme(aggregate, row[aggregate.input->first - 1], *state)) return false;
    --state->count;
    return true;
  }
  auto* function = const_cast<FmgrInfo*>(&aggregate.inverse);
  const Datum value = CallFor(aggregate, function, *state, call);
  if (call->isnull) return false;
  --state->count;
  Replace(aggregate, value, state);
  return true;
}

Datum ResultOf(const MovingAggregate& aggregate, const MovingState& state, bool* is_null) {
  *is_null = state.is_null;
  if (!OidIsValid(aggregate.final_oid)) return state.value;
  LOCAL_FCINFO(call, FUNC_MAX_ARGS);
  InitFunctionCallInfoData(*call, const_cast<FmgrInfo*>(&aggregate.final),
                           static_cast<short>(aggregate.final_argument_count), aggregate.collation,
                           aggregate.caller, nullptr);
  call->args[0].value = state.value;
  call->args[0].isnull = state.is_null;
  for (int i = 1; i < aggregate.final_argument_count; ++i) call->args[i] = {Datum{0}, true};
  const bool any_null = state.is_null || aggregate.final_argument_count > 1;
  *is_null = true;
  if (any_null && aggregate.final.fn_strict) return Datum{0};
  auto* caller = castNode(WindowAggState, aggregate.caller);
  caller->curaggcontext = state.context;
  const Datum result = FunctionCallInvoke(call);
  caller->curaggcontext = nullptr;
  *is_null = call->isnull;
  return result;
}

}  // namespace live_queries
