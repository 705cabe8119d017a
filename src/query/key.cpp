// Builds the expression for a key's text, and digests it under a secret where the key is opaque.
// Process: client backend, decoder.
#include "query/key.hpp"

#include "analyze/text_form.hpp"
#include "analyze/tree.hpp"
#include "analyze/type_components.hpp"
#include "registry/shared_memory.hpp"

extern "C" {
#include "access/transam.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "nodes/makefuncs.h"
#include "parser/parse_coerce.h"
#include "utils/float.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

constexpr int kOpaqueBytes = 16;
constexpr int kSecretParam = 1;

// Types of which the text is the name of what the value refers to: names change, and those of
// overloaded functions and operators are alike.
bool IsReference(Oid type) {
  switch (type) {
    case REGPROCOID:
    case REGPROCEDUREOID:
    case REGOPEROID:
    case REGOPERATOROID:
    case REGCLASSOID:
    case REGTYPEOID:
    case REGCOLLATIONOID:
    case REGCONFIGOID:
    case REGDICTIONARYOID:
    case REGNAMESPACEOID:
    case REGROLEOID:
      return true;
    default:
      return false;
  }
}

// Types whose JSON says less than their text: arrays, also within a row, lose their bounds, and a
// cast to json is whatever its author wrote.
bool StandsAsText(Oid type) {
  return type >= FirstNormalObjectId || OidIsValid(get_element_type(type)) || type_is_rowtype(type);
}

// Leaves out parentheses that it compares.
bool IsSearchQuery(Oid type) { return type == TSQUERYOID; }

// Other styles than ISO give the abbreviation of a time zone, which can stand for two offsets.
bool HasTimeZone(Oid type) { return type == TIMESTAMPTZOID; }

// Of base types of users only that is known on which pg_dump relies.
bool MayHaveFloats(Oid type) {
  if (type < FirstNormalObjectId) return type == FLOAT4OID || type == FLOAT8OID;
  return get_typtype(type) == TYPTYPE_BASE && !OidIsValid(get_element_type(type)) &&
         TypeCategory(type) != TYPCATEGORY_STRING;
}

[[noreturn]] void RaiseSetting(const char* column, const char* setting) {
  ereport(ERROR, errcode(ERRCODE_INVALID_PARAMETER_VALUE),
          errmsg("different keys of the live query would look alike"),
          errdetail("Column \"%s\" of the key contains values that are not written out in full "
                    "with the current settings.",
                    column),
          errhint("SET %s;", setting));
  pg_unreachable();
}

Expr* ValueInKey(Var* column) {
  const Oid type = getBaseType(column->vartype);
  Expr* value = reinterpret_cast<Expr*>(column);
  if (IsReference(type))
    return reinterpret_cast<Expr*>(
        makeRelabelType(value, OIDOID, -1, InvalidOid, COERCE_EXPLICIT_CAST));
  if (!StandsAsText(type)) return value;
  return ThroughText(value, TEXTOID, DEFAULT_COLLATION_OID);
}

Expr* Call(Oid function, Oid type, Oid collation, List* arguments) {
  return reinterpret_cast<Expr*>(
      makeFuncExpr(function, type, arguments, collation, InvalidOid, COERCE_EXPLICIT_CALL));
}

// Of more values than a function takes: an array of what each is as JSON.
Expr* LongJsonArray(List* values) {
  ArrayExpr* array = makeNode(ArrayExpr);
  array->array_typeid = JSONARRAYOID;
  array->element_typeid = JSONOID;
  array->location = -1;
  ListCell* cell;
  foreach (cell, values)
    array->elements =
        lappend(array->elements, Call(F_TO_JSON, JSONOID, InvalidOid, list_make1(lfirst(cell))));
  Expr* call = Call(F_JSON_BUILD_ARRAY_ANY, JSONOID, InvalidOid, list_make1(array));
  reinterpret_cast<FuncExpr*>(call)->funcvariadic = true;
  return call;
}

Expr* JsonArray(List* values) {
  if (list_length(values) > FUNC_MAX_ARGS) return LongJsonArray(values);
  const Oid function = values == NIL ? F_JSON_BUILD_ARRAY_ : F_JSON_BUILD_ARRAY_ANY;
  return Call(function, JSONOID, InvalidOid, values);
}

Expr* Int4(int value) {
  return reinterpret_cast<Expr*>(
      makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(value), false, true));
}

Expr* Secret() { return MakeParam(kSecretParam, BYTEAOID); }

// [encode(substr(sha256(secret || key), 1, 16), 'hex')], of the key's bytes as they are.
Expr* Opaque(Expr* key) {
  Expr* bytes =
      reinterpret_cast<Expr*>(makeRelabelType(key, BYTEAOID, -1, InvalidOid, COERCE_EXPLICIT_CAST));
  bytes = Call(F_BYTEACAT, BYTEAOID, InvalidOid, list_make2(Secret(), bytes));
  bytes = Call(F_SHA256, BYTEAOID, InvalidOid, list_make1(bytes));
  bytes = Call(F_SUBSTR_BYTEA_INT4_INT4, BYTEAOID, InvalidOid,
               list_make3(bytes, Int4(1), Int4(kOpaqueBytes)));
  Const* format = makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
                            PointerGetDatum(cstring_to_text("hex")), false, false);
  return JsonArray(
      list_make1(Call(F_ENCODE, TEXTOID, DEFAULT_COLLATION_OID, list_make2(bytes, format))));
}

void RequireHashed(bool done, const char* problem) {
  if (!done) elog(ERROR, "live_queries could not make the secret of a key: %s", problem);
}

// HMAC-SHA256 of what names the query, its role and its database.
bytea* MakeSecret(const char* name) {
  const char* text = psprintf("%u %u %s", MyDatabaseId, GetUserId(), name);
  bytea* secret = static_cast<bytea*>(palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH));
  SET_VARSIZE(secret, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
  pg_hmac_ctx* context = pg_hmac_create(PG_SHA256);
  const bool done =
      pg_hmac_init(context, Control()->key_secret, sizeof(Control()->key_secret)) == 0 &&
      pg_hmac_update(context, reinterpret_cast<const uint8*>(text), strlen(text)) == 0 &&
      pg_hmac_final(context, reinterpret_cast<uint8*>(VARDATA(secret)), PG_SHA256_DIGEST_LENGTH) ==
          0;
  RequireHashed(done, pg_hmac_error(context));
  pg_hmac_free(context);
  return secret;
}

// The server shows the values of parameters in logs (auto_explain) unless they have to be asked
// for.
ParamExternData* AskForParam(ParamListInfo params, int number, bool, ParamExternData*) {
  return &params->params[number - 1];
}

}  // namespace

void RequireDistinctText(const char* column, Oid any_type) {
  const Oid type = getBaseType(any_type);
  if (AnyComponent(type, IsSearchQuery) || (!IsReference(type) && AnyComponent(type, IsReference)))
    ereport(ERROR, errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
            errmsg("cannot watch this query: different keys would look alike"),
            errdetail("The text of column \"%s\" of the key, of type %s, is ambiguous.", column,
                      format_type_be(any_type)),
            errhint("Give the table a key of another type."));
  if (extra_float_digits < 1 && AnyComponent(type, MayHaveFloats))
    RaiseSetting(column, "extra_float_digits = 1");
  if (DateStyle != USE_ISO_DATES && !HasTimeZone(type) && AnyComponent(type, HasTimeZone))
    RaiseSetting(column, "DateStyle = 'ISO'");
}

void RequireDistinctTexts(Oid relation, List* key) {
  ListCell* cell;
  foreach (cell, key) {
    const AttrNumber column = static_cast<AttrNumber>(lfirst_int(cell));
    RequireDistinctText(get_attname(relation, column, false), get_atttype(relation, column));
  }
}

char* NameForSecret(const QuerySpec& spec) {
  const char* text = TreeToText(list_make5(spec.barrier_quals, spec.quals, spec.result_columns,
                                           spec.routing_conditions, list_make1(spec.query)));
  const char* named = psprintf("%u %s", spec.relation, text);
  uint8 digest[PG_SHA256_DIGEST_LENGTH];
  pg_cryptohash_ctx* context = pg_cryptohash_create(PG_SHA256);
  const bool done =
      pg_cryptohash_init(context) == 0 &&
      pg_cryptohash_update(context, reinterpret_cast<const uint8*>(named), strlen(named)) == 0 &&
      pg_cryptohash_final(context, digest, sizeof(digest)) == 0;
  RequireHashed(done, pg_cryptohash_error(context));
  pg_cryptohash_free(context);
  char* name = static_cast<char*>(palloc(2 * sizeof(digest) + 1));
  name[hex_encode(reinterpret_cast<const char*>(digest), sizeof(digest), name)] = '\0';
  return name;
}

Expr* KeyOfColumns(List* columns) {
  List* values = NIL;
  ListCell* cell;
  foreach (cell, columns)
    values = lappend(values, ValueInKey(static_cast<Var*>(copyObjectImpl(lfirst(cell)))));
  return JsonArray(values);
}

Expr* KeyExpression(const QuerySpec& spec) {
  List* values = NIL;
  ListCell* cell;
  if (spec.bag)
    foreach (cell, spec.result_columns)
      values = lappend(values, copyObjectImpl(lfirst_node(TargetEntry, cell)->expr));
  else
    foreach (cell, spec.key) values = lappend(values, ColumnOf(spec, lfirst_int(cell)));
  Expr* key = spec.bag ? JsonArray(values) : KeyOfColumns(values);
  return IsOpaque(spec) ? Opaque(key) : key;
}

ParamListInfo KeyParams(const QuerySpec& spec) {
  if (!IsOpaque(spec)) return nullptr;
  ParamListInfo params = makeParamList(kSecretParam);
  params->paramFetch = AskForParam;
  params->params[kSecretParam - 1] = {PointerGetDatum(MakeSecret(spec.opaque_key)), false, 0,
                                      BYTEAOID};
  return params;
}

}  // namespace live_queries
