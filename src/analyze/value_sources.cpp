// The lists of the server's STABLE functions that are known not to read catalogs; whatever is not
// here, of a later server or of a user, counts as reading them. Process: client backend, decoder.
#include "analyze/value_sources.hpp"

#include <algorithm>

#include "analyze/tree.hpp"
#include "analyze/type_components.hpp"
#include "pg/compat.hpp"

extern "C" {
#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/tlist.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
}

namespace live_queries {
namespace {

// They read their arguments, settings that are captured (TimeZone, DateStyle, ...), and the types
// of their arguments, which analyze/type_shapes.hpp describes.
constexpr std::string_view kOfArguments[] = {"age",
                                             "anyarray_out",
                                             "anycompatiblearray_out",
                                             "anycompatiblemultirange_out",
                                             "anycompatiblerange_out",
                                             "anyenum_out",
                                             "anymultirange_out",
                                             "anyrange_out",
                                             "anytextcat",
                                             "array_in",
                                             "array_out",
                                             "array_recv",
                                             "array_send",
                                             "array_to_json",
                                             "array_to_string",
                                             "bpcharrecv",
                                             "bpcharsend",
                                             "cash_in",
                                             "cash_out",
                                             "concat",
                                             "concat_ws",
                                             "convert",
                                             "convert_from",
                                             "convert_to",
                                             "cstring_recv",
                                             "cstring_send",
                                             "date",
                                             "date_add",
                                             "date_cmp_timestamptz",
                                             "date_eq_timestamptz",
                                             "date_ge_timestamptz",
                                             "date_gt_timestamptz",
                                             "date_in",
                                             "date_le_timestamptz",
                                             "date_lt_timestamptz",
                                             "date_ne_timestamptz",
                                             "date_out",
                                             "date_part",
                                             "date_subtract",
                                             "date_trunc",
                                             "domain_in",
                                             "domain_recv",
                                             "enum_first",
                                             "enum_in",
                                             "enum_last",
                                             "enum_out",
                                             "enum_range",
                                             "enum_recv",
                                             "enum_send",
                                             "extract",
                                             "format",
                                             "get_current_ts_config",
                                             "getdatabaseencoding",
                                             "in_range",
                                             "interval_in",
                                             "interval_out",
                                             "interval_pl_timestamptz",
                                             "json_agg",
                                             "json_agg_strict",
                                             "json_build_array",
                                             "json_build_object",
                                             "json_object_agg",
                                             "json_object_agg_strict",
                                             "json_object_agg_unique",
                                             "json_object_agg_unique_strict",
                                             "json_populate_record",
                                             "json_to_record",
                                             "json_to_tsvector",
                                             "jsonb_agg",
                                             "jsonb_agg_strict",
                                             "jsonb_build_array",
                                             "jsonb_build_object",
                                             "jsonb_object_agg",
                                             "jsonb_object_agg_strict",
                                             "jsonb_object_agg_unique",
                                             "jsonb_object_agg_unique_strict",
                                             "jsonb_path_exists_tz",
                                             "jsonb_path_match_tz",
                                             "jsonb_path_query_array_tz",
                                             "jsonb_path_query_first_tz",
                                             "jsonb_populate_record",
                                             "jsonb_populate_record_valid",
                                             "jsonb_to_record",
                                             "jsonb_to_tsvector",
                                             "length",
                                             "make_timestamptz",
                                             "money",
                                             "multirange_in",
                                             "multirange_out",
                                             "multirange_recv",
                                             "multirange_send",
                                             "namerecv",
                                             "namesend",
                                             "numeric",
                                             "overlaps",
                                             "phraseto_tsquery",
                                             "plainto_tsquery",
                                             "quote_literal",
                                             "quote_nullable",
                                             "range_in",
                                             "range_out",
                                             "range_recv",
                                             "range_send",
                                             "record_in",
                                             "record_out",
                                             "record_recv",
                                             "record_send",
                                             "row_to_json",
                                             "textanycat",
                                             "textrecv",
                                             "textsend",
                                             "time",
                                             "time_in",
                                             "timestamp",
                                             "timestamp_cmp_timestamptz",
                                             "timestamp_eq_timestamptz",
                                             "timestamp_ge_timestamptz",
                                             "timestamp_gt_timestamptz",
                                             "timestamp_in",
                                             "timestamp_le_timestamptz",
                                             "timestamp_lt_timestamptz",
                                             "timestamp_ne_timestamptz",
                                             "timestamp_out",
                                             "timestamptz",
                                             "timestamptz_cmp_date",
                                             "timestamptz_cmp_timestamp",
                                             "timestamptz_eq_date",
                                             "timestamptz_eq_timestamp",
                                             "timestamptz_ge_date",
                                             "timestamptz_ge_timestamp",
                                             "timestamptz_gt_date",
                                             "timestamptz_gt_timestamp",
                                             "timestamptz_in",
                                             "timestamptz_le_date",
                                             "timestamptz_le_timestamp",
                                             "timestamptz_lt_date",
                                             "timestamptz_lt_timestamp",
                                             "timestamptz_mi_interval",
                                             "timestamptz_ne_date",
                                             "timestamptz_ne_timestamp",
                                             "timestamptz_out",
                                             "timestamptz_pl_interval",
                                             "timetz",
                                             "timetz_in",
                                             "timezone",
                                             "to_char",
                                             "to_date",
                                             "to_json",
                                             "to_jsonb",
                                             "to_number",
                                             "to_timestamp",
                                             "to_tsquery",
                                             "to_tsvector",
                                             "ts_headline",
                                             "ts_match_tq",
                                             "ts_match_tt",
                                             "varcharrecv",
                                             "varcharsend",
                                             "websearch_to_tsquery",
                                             "xml",
                                             "xml_in",
                                             "xml_is_well_formed",
                                             "xml_recv",
                                             "xml_send"};

// They read the client's connection, process, settings and temporary objects, and the server.
constexpr std::string_view kOfSession[] = {"current_database",
                                           "current_schemas",
                                           "current_setting",
                                           "inet_client_addr",
                                           "inet_client_port",
                                           "inet_server_addr",
                                           "inet_server_port",
                                           "pg_backend_pid",
                                           "pg_client_encoding",
                                           "pg_conf_load_time",
                                           "pg_is_other_temp_schema",
                                           "pg_my_temp_schema",
                                           "pg_postmaster_start_time",
                                           "pg_trigger_depth",
                                           "system_user",
                                           "version"};

constexpr std::string_view kOfRoles[] = {"current_schema", "current_user", "getpgusername",
                                         "pg_has_role", "session_user"};

static_assert(std::ranges::is_sorted(kOfArguments) && std::ranges::is_sorted(kOfSession) &&
              std::ranges::is_sorted(kOfRoles));

bool RaiseTo(ValueSource source, ValueSource* highest) {
  *highest = std::max(*highest, source);
  return *highest == ValueSource::kCatalogs;
}

bool NoteFunction(Oid function, void* highest) {
  return RaiseTo(SourceOf(function), static_cast<ValueSource*>(highest));
}

// current_schemas(false) leaves the session's own schema out, and reads who may use which others.
bool ReadsSchemasOfAll(Node* node) {
  if (!IsA(node, FuncExpr) || castNode(FuncExpr, node)->funcid != F_CURRENT_SCHEMAS) return false;
  const Node* with_own = static_cast<Node*>(linitial(castNode(FuncExpr, node)->args));
  return IsA(with_own, Const) && !castNode(Const, with_own)->constisnull &&
         !DatumGetBool(castNode(Const, with_own)->constvalue);
}

// Of base types of users only their authors, superusers, know.
bool IsShownByName(Oid type) {
  if (type >= FirstNormalObjectId || get_typtype(type) != TYPTYPE_BASE) return false;
  Oid output;
  bool is_varlena;
  getTypeOutputInfo(type, &output, &is_varlena);
  return SourceOf(output) == ValueSource::kCatalogs;
}

bool AnyShowsNames(List* values) {
  ListCell* cell;
  foreach (cell, values)
    if (ShowsNames(static_cast<Node*>(lfirst(cell)))) return true;
  return false;
}

// A function of the server that is only STABLE because it makes text of any type, or reads it.
bool ReadsAnyType(Oid function) {
  return function < FirstNormalObjectId && func_volatile(function) == PROVOLATILE_STABLE;
}

bool NoteNode(Node* node, ValueSource* highest) {
  if (node == nullptr) return false;
  if (IsA(node, SQLValueFunction) || ReadsSchemasOfAll(node))
    (void)RaiseTo(ValueSource::kRoles, highest);
  if (check_functions_in_node(node, NoteFunction, highest)) return true;
  if (ConvertsNames(node)) return RaiseTo(ValueSource::kCatalogs, highest);
  return WalkChildren(node, NoteNode, highest);
}

}  // namespace

ValueSource SourceOf(Oid function) {
  if (func_volatile(function) == PROVOLATILE_IMMUTABLE) return ValueSource::kArguments;
  const char* name = function < FirstNormalObjectId ? get_func_name(function) : nullptr;
  if (name == nullptr) return ValueSource::kCatalogs;
  if (std::ranges::binary_search(kOfArguments, name)) return ValueSource::kArguments;
  if (std::ranges::binary_search(kOfSession, name)) return ValueSource::kSession;
  if (std::ranges::binary_search(kOfRoles, name)) return ValueSource::kRoles;
  return ValueSource::kCatalogs;
}

bool ShowsNames(Node* value) {
  const Oid type = exprType(value);
  // Of a record, only its expression tells what it contains.
  if (type == RECORDOID || type == RECORDARRAYOID) return AnyTypeIn(value, IsShownByName);
  return AnyComponent(type, IsShownByName);
}

bool ConvertsNames(Node* node) {
  switch (nodeTag(node)) {
    case T_CoerceViaIO:
      return ShowsNames(AsNode(castNode(CoerceViaIO, node)->arg)) || ShowsNames(node);
    case T_FuncExpr: {
      const FuncExpr* call = castNode(FuncExpr, node);
      return ReadsAnyType(call->funcid) && (AnyShowsNames(call->args) || ShowsNames(node));
    }
    case T_Aggref: {
      const Aggref* call = castNode(Aggref, node);
      return ReadsAnyType(call->aggfnoid) && AnyShowsNames(get_tlist_exprs(call->args, true));
    }
    case T_WindowFunc: {
      const WindowFunc* call = castNode(WindowFunc, node);
      return ReadsAnyType(call->winfnoid) && AnyShowsNames(call->args);
    }
    case T_OpExpr: {
      const OpExpr* call = castNode(OpExpr, node);
      return ReadsAnyType(get_opcode(call->opno)) && AnyShowsNames(call->args);
    }
    case T_XmlExpr:
      return AnyShowsNames(castNode(XmlExpr, node)->named_args) ||
             AnyShowsNames(castNode(XmlExpr, node)->args);
    default: {
      Node* json = nullptr;
      return AnyShowsNames(JsonConstructorArguments(node)) ||
             (OidIsValid(TypeReadFromJson(node, &json)) && ShowsNames(node));
    }
  }
}

ValueSource SourceOf(Node* expression) {
  ValueSource highest = ValueSource::kArguments;
  (void)NoteNode(expression, &highest);
  return highest;
}

}  // namespace live_queries
