// The rules are those of json_categorize_type and datum_to_json (json.c). Process: decoder,
// evaluator, client backend.
#include "template/to_json.hpp"

#include "analyze/tree.hpp"

extern "C" {
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "common/jsonapi.h"
#include "datatype/timestamp.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

ToJson::How HowOf(Oid type) {
  switch (type) {
    case BOOLOID:
      return ToJson::How::kBoolean;
    case INT2OID:
    case INT4OID:
    case INT8OID:
    case FLOAT4OID:
    case FLOAT8OID:
    case NUMERICOID:
      return ToJson::How::kNumber;
    case DATEOID:
    case TIMESTAMPOID:
    case TIMESTAMPTZOID:
      return ToJson::How::kDateTime;
    case JSONOID:
    case JSONBOID:
      return ToJson::How::kVerbatim;
    default:
      if (type >= FirstNormalObjectId || get_typtype(type) != TYPTYPE_BASE ||
          OidIsValid(get_element_type(type)))
        return ToJson::How::kServer;
      return ToJson::How::kString;
  }
}

// to_json itself, for values of the type of `expression`.
void FindServers(Expr* expression, FmgrInfo* function) {
  fmgr_info(F_TO_JSON, function);
  FuncExpr* call = makeFuncExpr(F_TO_JSON, JSONOID, list_make1(expression), InvalidOid, InvalidOid,
                                COERCE_EXPLICIT_CALL);
  fmgr_info_set_expr(reinterpret_cast<Node*>(call), function);
}

void AppendNumber(const char* text, StringInfo out) {
  if (IsValidJsonNumber(text, static_cast<int>(strlen(text))))
    appendStringInfoString(out, text);
  else
    escape_json(out, text);
}

void AppendDateTime(Oid type, Datum value, StringInfo out) {
  char text[MAXDATELEN + 1];
  JsonEncodeDateTime(text, value, type, nullptr);
  appendStringInfoChar(out, '"');
  appendStringInfoString(out, text);
  appendStringInfoChar(out, '"');
}

}  // namespace

ToJson PrepareToJson(Expr* expression) {
  ToJson to_json = {};
  to_json.type = getBaseType(exprType(AsNode(expression)));
  to_json.how = HowOf(to_json.type);
  if (to_json.how == ToJson::How::kServer) {
    FindServers(expression, &to_json.function);
  } else {
    Oid output;
    bool is_varlena;
    getTypeOutputInfo(to_json.type, &output, &is_varlena);
    fmgr_info(output, &to_json.function);
  }
  return to_json;
}

void AppendJson(ToJson* to_json, Datum value, StringInfo out) {
  switch (to_json->how) {
    case ToJson::How::kBoolean:
      appendStringInfoString(out, DatumGetBool(value) ? "true" : "false");
      break;
    case ToJson::How::kNumber:
      AppendNumber(OutputFunctionCall(&to_json->function, value), out);
      break;
    case ToJson::How::kDateTime:
      AppendDateTime(to_json->type, value, out);
      break;
    case ToJson::How::kVerbatim:
      appendStringInfoString(out, OutputFunctionCall(&to_json->function, value));
      break;
    case ToJson::How::kString:
      escape_json(out, OutputFunctionCall(&to_json->function, value));
      break;
    case ToJson::How::kServer: {
      const text* json = DatumGetTextPP(FunctionCall1(&to_json->function, value));
      appendBinaryStringInfo(out, VARDATA_ANY(json), static_cast<int>(VARSIZE_ANY_EXHDR(json)));
      break;
    }
  }
}

}  // namespace live_queries
