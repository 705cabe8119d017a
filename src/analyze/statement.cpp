// Has the server parse, analyse and rewrite a text, and sees that it is one SELECT. Process: client
// backend, decoder.
#include "analyze/statement.hpp"

#include "analyze/clock.hpp"
#include "analyze/type_components.hpp"
#include "analyze/unsupported.hpp"
#include "analyze/value_sources.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/tcopprot.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

RawStmt* ParseOne(const char* text) {
  List* statements = pg_parse_query(text);
  if (list_length(statements) != 1)
    ereport(ERROR, errcode(ERRCODE_SYNTAX_ERROR),
            errmsg("a live query must be one statement, not %d", list_length(statements)));
  RawStmt* statement = castNode(RawStmt, linitial(statements));
  if (!IsA(statement->stmt, SelectStmt)) RaiseUnsupported("it is not a SELECT");
  if (castNode(SelectStmt, statement->stmt)->intoClause != nullptr)
    RaiseUnsupported("it contains INTO");
  return statement;
}

// Points an error into the live query, not into the command that contains it as a string.
void PointIntoQuery(void* text) {
  const int position = geterrposition();
  if (position <= 0) return;
  errposition(0);
  internalerrposition(position);
  internalerrquery(static_cast<const char*>(text));
}

// The types of its parameters, as the query infers them, go to `*types`.
Query* ParseAndAnalyze(const char* text, Oid** types, int* count) {
  ErrorContextCallback callback = {error_context_stack, PointIntoQuery, const_cast<char*>(text)};
  error_context_stack = &callback;
  // The analysis may change it.
  RawStmt* statement = ParseOne(text);
  RawStmt* analysed = static_cast<RawStmt*>(copyObjectImpl(statement));
  Query* query = parse_analyze_varparams(analysed, text, types, count, nullptr);
  if (const char* literal = ClockLiteral(statement, query))
    RaiseUnsupported(psprintf("the literal '%s' depends on the current time", literal));
  error_context_stack = callback.previous;
  return query;
}

// Each parameter's text, read by the input function of the type that the query infers for it.
List* ParamValues(List* params, const Oid* types, int count) {
  for (int i = 0; i < count; ++i)
    if (types[i] == InvalidOid || types[i] == UNKNOWNOID)
      ereport(ERROR, errcode(ERRCODE_INDETERMINATE_DATATYPE),
              errmsg("could not determine data type of parameter $%d", i + 1));
  if (list_length(params) != count)
    ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
            errmsg_plural("the query has %d parameter, but %d were given",
                          "the query has %d parameters, but %d were given",
                          static_cast<unsigned long>(count), count, list_length(params)));
  List* values = NIL;
  for (int i = 0; i < count; ++i) {
    Node* param = static_cast<Node*>(list_nth(params, i));
    Oid input;
    Oid io_param;
    int16 length;
    bool by_value;
    getTypeInputInfo(types[i], &input, &io_param);
    get_typlenbyval(types[i], &length, &by_value);
    const Datum value =
        OidInputFunctionCall(input, param == nullptr ? nullptr : strVal(param), io_param, -1);
    if (param != nullptr) RequireNoClockInParam(i + 1, strVal(param), types[i]);
    values = lappend(values, makeConst(types[i], -1, get_typcollation(types[i]), length, value,
                                       param == nullptr, by_value));
  }
  return values;
}

// As those of regrole and its like do.
bool InputReadsCatalogs(Oid type) {
  Oid input;
  Oid io_param;
  getTypeInputInfo(type, &input, &io_param);
  return SourceOf(input) == ValueSource::kCatalogs;
}

// Whether one of `types` has values whose meaning ALTER TYPE, RENAME and the like can change.
bool ReadCatalogs(const Oid* types, int count) {
  for (int i = 0; i < count; ++i)
    if (UserTypesOf(types[i]) != NIL || AnyComponent(types[i], InputReadsCatalogs)) return true;
  return false;
}

}  // namespace

Statement ReadStatement(const char* text, List* params) {
  Oid* types = nullptr;
  int count = 0;
  Query* query = ParseAndAnalyze(text, &types, &count);
  List* values = ParamValues(params, types, count);
  List* rewritten = QueryRewrite(query);
  if (list_length(rewritten) != 1) RaiseUnsupported("a rule rewrites it to several queries");
  query = linitial_node(Query, rewritten);
  if (query->commandType != CMD_SELECT) RaiseUnsupported("it is not a SELECT");
  if (query->hasModifyingCTE) RaiseUnsupported("it writes, in WITH");
  return {query, values, ReadCatalogs(types, count)};
}

}  // namespace live_queries
