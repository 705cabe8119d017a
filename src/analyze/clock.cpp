// Finds functions, literals and casts that read the clock, and puts a parameter in the place of
// those that just say what time it is. Process: client backend, decoder, evaluator.
#include "analyze/clock.hpp"

#include "analyze/standalone.hpp"
#include "analyze/tree.hpp"
#include "analyze/type_components.hpp"
#include "analyze/unsupported.hpp"
#include "model/clock_text.hpp"
#include "pg/compat.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
}

namespace live_queries {
namespace {

constexpr const char* kOfTheClock = "it depends on the current time or transaction";
// timezone(time with time zone), since 17.
constexpr Oid kLocalTimeOfTimetz = 6336;

// What time it is: as a whole, the clock of a live query. Within a statement, these do not differ.
bool IsClock(Oid function) {
  return function == F_NOW || function == F_TRANSACTION_TIMESTAMP ||
         function == F_STATEMENT_TIMESTAMP;
}

bool IsClock(const Node* node) {
  if (IsA(node, FuncExpr)) return IsClock(castNode(FuncExpr, node)->funcid);
  if (!IsA(node, SQLValueFunction)) return false;
  const SQLValueFunctionOp op = castNode(SQLValueFunction, node)->op;
  return op >= SVFOP_CURRENT_DATE && op <= SVFOP_LOCALTIMESTAMP_N;
}

// In SQL, which the server inlines: then current_date stands in their place.
bool IsInlinedClock(Oid function) {
  return function == F_AGE_TIMESTAMP || function == F_AGE_TIMESTAMPTZ;
}

bool IsTimeFunction(Oid function) {
  if (IsClock(function) || IsInlinedClock(function)) return true;
  switch (function) {
    case F_AGE_XID:
    case F_PG_CURRENT_XACT_ID:
    case F_PG_CURRENT_XACT_ID_IF_ASSIGNED:
    case F_PG_CURRENT_SNAPSHOT:
    case F_TXID_CURRENT:
    case F_TXID_CURRENT_IF_ASSIGNED:
    case F_TXID_CURRENT_SNAPSHOT:
    // Whether daylight saving time applies to a time of day depends on today.
    case F_TIMETZ_TIME:
    case F_TIMEZONE_TEXT_TIMETZ:
    case kLocalTimeOfTimetz:
      return true;
    default:
      return false;
  }
}

bool IsTimeCheck(Oid function, void*) { return IsTimeFunction(function); }

bool IsOddTimeCheck(Oid function, void*) {
  return IsTimeFunction(function) && !IsClock(function) && !IsInlinedClock(function);
}

bool IsDateTime(Oid type) {
  return type == DATEOID || type == TIMEOID || type == TIMETZOID || type == TIMESTAMPOID ||
         type == TIMESTAMPTZOID;
}

bool IsTimetz(Oid type) { return type == TIMETZOID; }

// Whether the input function of `type` would take something of `text` from the clock.
bool ReadsClock(std::string_view text, Oid type) {
  return (HasClockWord(text) && AnyComponent(type, IsDateTime)) ||
         (NeedsPresentOffset(text) && AnyComponent(type, IsTimetz));
}

// The type whose values `call` reads from the text that is its first argument, if it is an input
// function that reads dates or times. Those of containers are told the type.
Oid TypeOfInput(const FuncExpr& call) {
  switch (call.funcid) {
    case F_DATE_IN:
    case F_TIME_IN:
    case F_TIMETZ_IN:
    case F_TIMESTAMP_IN:
    case F_TIMESTAMPTZ_IN:
      return call.funcresulttype;
    case F_ARRAY_IN:
    case F_DOMAIN_IN:
    case F_MULTIRANGE_IN:
    case F_RANGE_IN:
    case F_RECORD_IN: {
      Node* type = static_cast<Node*>(lsecond(call.args));
      if (!IsA(type, Const) || castNode(Const, type)->constisnull) return TIMESTAMPTZOID;
      const Oid named = DatumGetObjectId(castNode(Const, type)->constvalue);
      return named;
    }
    default:
      return InvalidOid;
  }
}

// What `node` reads a text as, if it is a cast.
Oid TypeReadBy(Node* node) {
  const Oid input = IsA(node, FuncExpr) ? TypeOfInput(*castNode(FuncExpr, node)) : InvalidOid;
  return OidIsValid(input) ? input : exprType(node);
}

// The text that `node` reads as a value that contains a date/time; nullptr if it is no such cast.
Node* TextReadAsTime(Node* node) {
  if (IsA(node, CoerceViaIO)) {
    CoerceViaIO* cast = castNode(CoerceViaIO, node);
    return AnyComponent(cast->resulttype, IsDateTime) ? reinterpret_cast<Node*>(cast->arg)
                                                      : nullptr;
  }
  if (IsA(node, FuncExpr)) {
    FuncExpr* call = castNode(FuncExpr, node);
    const Oid input = TypeOfInput(*call);
    if (OidIsValid(input))
      return AnyComponent(input, IsDateTime) ? static_cast<Node*>(linitial(call->args)) : nullptr;
    const bool reads =
        call->funcid == F_JSON_POPULATE_RECORD || call->funcid == F_JSONB_POPULATE_RECORD;
    return reads && AnyComponent(call->funcresulttype, IsDateTime)
               ? static_cast<Node*>(lsecond(call->args))
               : nullptr;
  }
  Node* json = nullptr;
  const Oid type = TypeReadFromJson(node, &json);
  return OidIsValid(type) && AnyComponent(type, IsDateTime) ? json : nullptr;
}

// `plain_too`: what just says what time it is, as well.
bool RefuseClock(Node* node, bool* plain_too) {
  if (node == nullptr) return false;
  if (*plain_too && IsClock(node)) RaiseUnsupported(kOfTheClock);
  if (check_functions_in_node(node, *plain_too ? IsTimeCheck : IsOddTimeCheck, nullptr))
    RaiseUnsupported(kOfTheClock);
  Node* text = TextReadAsTime(node);
  if (text != nullptr && NeedsSurroundings(text))
    RaiseUnsupported(
        "it reads a date or time from the text of a column, which may say 'now' or 'today' (use "
        "to_timestamp with a format)");
  return WalkChildren(node, RefuseClock, plain_too);
}

bool RefuseClockTexts(Node* node, void* unused) {
  if (node == nullptr) return false;
  Node* text = TextReadAsTime(node);
  if (text != nullptr && !NeedsSurroundings(text)) {
    const Const* value = EvaluateAlone(static_cast<Node*>(copyObjectImpl(text)));
    if (!value->constisnull && ReadsClock(TextOfValue(*value), TypeReadBy(node)))
      RaiseUnsupported(kOfTheClock);
  }
  return WalkChildren(node, RefuseClockTexts, unused);
}

// A literal that may be one of the clock, and where the constant that it becomes may say it stands:
// at the literal, or at a cast around it.
struct Literal {
  const char* text;
  List* locations;
};

struct LiteralSearch {
  List* casts;        // locations of those around the node
  List* literals;     // of Literal
  const char* found;  // that is of the clock
};

bool FindLiterals(Node* node, LiteralSearch* search) {
  if (node == nullptr) return false;
  if (IsA(node, A_Const)) {
    const A_Const* constant = castNode(A_Const, node);
    if (constant->isnull || nodeTag(&constant->val) != T_String) return false;
    Literal* literal = static_cast<Literal*>(palloc(sizeof(Literal)));
    *literal = {strVal(&constant->val), lappend_int(list_copy(search->casts), constant->location)};
    search->literals = lappend(search->literals, literal);
    return false;
  }
  if (!IsA(node, TypeCast)) return WalkRawChildren(node, FindLiterals, search);
  List* outer = search->casts;
  const TypeCast* cast = castNode(TypeCast, node);
  search->casts = lappend_int(list_copy(outer), cast->location);
  search->casts = lappend_int(search->casts, cast->typeName->location);
  const bool stopped = WalkRawChildren(node, FindLiterals, search);
  search->casts = outer;
  return stopped;
}

bool FindClockConstant(Node* node, LiteralSearch* search) {
  if (node == nullptr) return false;
  if (!IsA(node, Const)) return WalkChildren(node, FindClockConstant, search);
  const Const* constant = castNode(Const, node);
  ListCell* cell;
  foreach (cell, constant->location < 0 ? NIL : search->literals) {
    const Literal* literal = static_cast<Literal*>(lfirst(cell));
    if (!list_member_int(literal->locations, constant->location) ||
        !ReadsClock(literal->text, constant->consttype))
      continue;
    search->found = literal->text;
    return true;
  }
  return false;
}

// ----- the clock as a parameter -----

Node* ClockParam() { return AsNode(MakeParam(kClockParam, TIMESTAMPTZOID)); }

Node* Convert(Node* value, Oid function, Oid type) {
  return AsNode(makeFuncExpr(function, type, list_make1(value), InvalidOid, InvalidOid,
                             COERCE_EXPLICIT_CALL));
}

// With no more digits of a second than that, if any number is given.
Node* Round(Node* value, Oid function, Oid type, int32 digits) {
  if (digits < 0) return value;
  Const* number =
      makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(digits), false, true);
  FuncExpr* rounded = makeFuncExpr(function, type, list_make2(value, number), InvalidOid,
                                   InvalidOid, COERCE_EXPLICIT_CALL);
  return AsNode(rounded);
}

// As ExecEvalSQLValueFunction in execExprInterp.c makes it of the time of the transaction.
Node* ClockAs(const SQLValueFunction& asked) {
  Node* clock = ClockParam();
  switch (asked.op) {
    case SVFOP_CURRENT_DATE:
      return Convert(clock, F_DATE_TIMESTAMPTZ, DATEOID);
    case SVFOP_CURRENT_TIME:
    case SVFOP_CURRENT_TIME_N:
      return Round(Convert(clock, F_TIMETZ_TIMESTAMPTZ, TIMETZOID), F_TIMETZ_TIMETZ_INT4, TIMETZOID,
                   asked.typmod);
    case SVFOP_LOCALTIME:
    case SVFOP_LOCALTIME_N:
      return Round(Convert(clock, F_TIME_TIMESTAMPTZ, TIMEOID), F_TIME_TIME_INT4, TIMEOID,
                   asked.typmod);
    case SVFOP_LOCALTIMESTAMP:
    case SVFOP_LOCALTIMESTAMP_N:
      return Round(Convert(clock, F_TIMESTAMP_TIMESTAMPTZ, TIMESTAMPOID),
                   F_TIMESTAMP_TIMESTAMP_INT4, TIMESTAMPOID, asked.typmod);
    default:
      return Round(clock, F_TIMESTAMPTZ_TIMESTAMPTZ_INT4, TIMESTAMPTZOID, asked.typmod);
  }
}

Node* PutParam(Node* node, void* unused) {
  if (node == nullptr) return nullptr;
  if (!IsClock(node)) return RewriteChildren(node, PutParam, unused);
  return IsA(node, SQLValueFunction) ? ClockAs(*castNode(SQLValueFunction, node)) : ClockParam();
}

Node* PutTime(Node* node, TimestampTz* time) {
  if (node == nullptr) return nullptr;
  if (!IsClockParam(node)) return RewriteChildren(node, PutTime, time);
  return AsNode(makeConst(TIMESTAMPTZOID, -1, InvalidOid, sizeof(TimestampTz),
                          TimestampTzGetDatum(*time), false, FLOAT8PASSBYVAL));
}

bool FindClockParam(Node* node, void* unused) {
  if (node == nullptr) return false;
  return IsClockParam(node) || WalkChildren(node, FindClockParam, unused);
}

}  // namespace

void RequireNoClock(Node* tree) {
  bool plain_too = true;
  (void)RefuseClock(tree, &plain_too);
}

void RequirePlainClock(Node* tree) {
  bool plain_too = false;
  (void)RefuseClock(tree, &plain_too);
}

Node* ParameterizeClock(Node* tree) { return PutParam(tree, nullptr); }

bool IsClockParam(const Node* node) {
  return IsA(node, Param) && castNode(Param, node)->paramkind == PARAM_EXTERN &&
         castNode(Param, node)->paramid == kClockParam;
}

bool AsksClock(const Node* tree) { return FindClockParam(const_cast<Node*>(tree), nullptr); }

Node* SetClock(Node* tree, TimestampTz time) { return PutTime(tree, &time); }

const char* ClockLiteral(RawStmt* statement, Query* query) {
  LiteralSearch search = {NIL, NIL, nullptr};
  (void)FindLiterals(statement->stmt, &search);
  (void)FindClockConstant(AsNode(query), &search);
  return search.found;
}

void RequireNoClockInBody(const char* literal, Oid function) {
  if (literal == nullptr) return;
  RaiseUnsupported(psprintf("the literal '%s' in function %s depends on the current time", literal,
                            get_func_name(function)));
}

void RequireNoClockInParam(int number, const char* text, Oid type) {
  if (ReadsClock(text, type))
    RaiseUnsupported(psprintf("parameter $%d, '%s', depends on the current time", number, text));
}

void RequireNoClockTexts(Node* expression) { (void)RefuseClockTexts(expression, nullptr); }

}  // namespace live_queries
