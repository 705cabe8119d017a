// The steps from text to Analysis, in order. Process: client backend, decoder.
#include "query/analyze.hpp"

#include "pg/compat.hpp"
#include "query/clock.hpp"
#include "query/domain_checks.hpp"
#include "query/key.hpp"
#include "query/own_rights.hpp"
#include "query/routing_conditions.hpp"
#include "query/table_facts.hpp"
#include "query/tree.hpp"
#include "query/type_components.hpp"
#include "query/type_functions.hpp"
#include "query/type_shapes.hpp"
#include "query/unsupported.hpp"
#include "query/value_sources.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/prep.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/tcopprot.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

Node* AsNode(List* list) { return reinterpret_cast<Node*>(list); }

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
  RequireNoClockInLiterals(statement, query);
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

bool CheckPermissions(Node* node, StringInfo access) {
  if (node == nullptr) return false;
  if (!IsA(node, Query)) return WalkChildren(node, CheckPermissions, access);
  Query* query = castNode(Query, node);
  CheckLevelPermissions(query);
  ListCell* cell;
  foreach (cell, query->rtable) {
    RangeTblEntry* entry = lfirst_node(RangeTblEntry, cell);
    if (!OidIsValid(entry->relid)) continue;  // a view keeps its oid when it is expanded (since 16)
    const TableAccess table = AccessOf(query, entry);
    char* columns = bmsToString(table.columns);
    appendStringInfo(access, "%u as %u %s;", table.relation, table.as_role, columns);
  }
  return query_tree_walker(
      query,
      reinterpret_cast<bool (*)()>(static_cast<bool (*)(Node*, StringInfo)>(CheckPermissions)),
      access, 0);
}

void RequireDistinctNames(List* result_columns) {
  ListCell* cell;
  foreach (cell, result_columns) {
    const char* name = lfirst_node(TargetEntry, cell)->resname;
    for (int i = 0; i < foreach_current_index(cell); ++i)
      if (strcmp(list_nth_node(TargetEntry, result_columns, i)->resname, name) == 0)
        ereport(ERROR, errcode(ERRCODE_DUPLICATE_COLUMN),
                errmsg("column \"%s\" appears twice in the result", name),
                errhint("Give each result column a name of its own, with AS."));
  }
}

List* ResultColumns(List* target_list) {
  List* visible = NIL;
  ListCell* cell;
  foreach (cell, target_list)
    if (!lfirst_node(TargetEntry, cell)->resjunk) visible = lappend(visible, lfirst(cell));
  return visible;
}

// The column numbers in `expressions`; 0 stands for the whole row. Raises 0A000 for system columns.
Bitmapset* UsedColumns(List* expressions) {
  Bitmapset* found = nullptr;
  pull_varattnos(AsNode(expressions), 1, &found);
  Bitmapset* used = nullptr;
  for (int bit = -1; (bit = bms_next_member(found, bit)) >= 0;) {
    const int number = bit + FirstLowInvalidHeapAttributeNumber;
    if (number < 0) RaiseUnsupported("it uses a system column");
    used = bms_add_member(used, number);
  }
  return used;
}

void RequireIdentity(const TableFacts& facts, List* conditions) {
  if (facts.full_identity) return;
  const char* problem = nullptr;
  if (facts.key == NIL)
    problem = "The table has no key in its replica identity.";
  else if (!bms_is_subset(UsedColumns(conditions), facts.identity))
    problem =
        "The condition, row security included, uses columns that are not in the replica "
        "identity.";
  if (problem == nullptr) return;
  ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
          errmsg("old rows of table %s are not logged, so the query cannot be watched",
                 facts.weak_name),
          errdetail("%s", problem),
          errhint("ALTER TABLE %s REPLICA IDENTITY FULL;", facts.weak_name));
}

// The columns that are selected as they are; 0 stands for the whole row.
Bitmapset* ShownColumns(List* result_columns) {
  Bitmapset* shown = nullptr;
  ListCell* cell;
  foreach (cell, result_columns) {
    const Node* expression = reinterpret_cast<Node*>(lfirst_node(TargetEntry, cell)->expr);
    if (IsA(expression, Var)) shown = bms_add_member(shown, castNode(Var, expression)->varattno);
  }
  return shown;
}

bool AreAmong(List* columns, const Bitmapset* shown) {
  if (bms_is_member(0, shown)) return true;
  ListCell* cell;
  foreach (cell, columns)
    if (!bms_is_member(lfirst_int(cell), shown)) return false;
  return true;
}

// Without old rows, any update of a row is told as an update. That must not tell of a column which
// the role may neither see in the result nor read in the table. A change of the key is known.
void RequireUpdatesToBeKnown(const TableFacts& facts, Oid relation, List* result_columns) {
  if (facts.full_identity || bms_is_subset(UsedColumns(result_columns), facts.identity)) return;
  Bitmapset* known = ShownColumns(result_columns);
  ListCell* cell;
  foreach (cell, facts.key) known = bms_add_member(known, lfirst_int(cell));
  if (bms_is_member(0, known) || MayReadAllBut(relation, known)) return;
  ereport(ERROR, errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
          errmsg("old rows of table %s are not logged, so the query cannot be watched",
                 facts.weak_name),
          errdetail("The role may not read all columns of the table itself, and an update of one "
                    "that it may not read could not be told from others."),
          errhint("ALTER TABLE %s REPLICA IDENTITY FULL;", facts.weak_name));
}

List* BitmapToList(const Bitmapset* set) {
  List* list = NIL;
  for (int member = -1; (member = bms_next_member(set, member)) >= 0;)
    list = lappend_int(list, member);
  return list;
}

int ColumnCount(Oid relation) {
  HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
  if (!HeapTupleIsValid(tuple)) elog(ERROR, "cache lookup failed for relation %u", relation);
  const int count = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relnatts;
  ReleaseSysCache(tuple);
  return count;
}

// Describes the columns that are used: all, if one uses whole rows.
void DescribeColumns(QuerySpec* spec, Bitmapset* used) {
  const bool whole_row = bms_is_member(0, used);
  const int natts = ColumnCount(spec->relation);
  for (int number = 1; number <= natts; ++number) {
    if (!whole_row && !bms_is_member(number, used)) continue;
    const char* name = get_attname(spec->relation, static_cast<AttrNumber>(number), true);
    Oid type;
    int32 typmod;
    Oid collation;
    get_atttypetypmodcoll(spec->relation, static_cast<AttrNumber>(number), &type, &typmod,
                          &collation);
    if (!OidIsValid(type)) continue;  // dropped
    spec->columns = lappend(
        spec->columns, makeVar(1, static_cast<AttrNumber>(number), type, typmod, collation, 0));
    spec->column_names = lappend(spec->column_names, makeString(pstrdup(name)));
    spec->column_count = number;
  }
  if (whole_row) spec->column_count = natts;
  spec->shapes = TypeShapes(list_make5(spec->barrier_quals, spec->quals, spec->result_columns,
                                       spec->columns, KeyExpression(*spec)));
}

List* SplitAnds(List* quals) {
  List* split = NIL;
  ListCell* cell;
  foreach (cell, quals) {
    Expr* qual = canonicalize_qual(static_cast<Expr*>(lfirst(cell)), false);
    split = list_concat(split, make_ands_implicit(qual));
  }
  return split;
}

// Whether two QuerySpec::access differ in the columns alone, each table's `(b 8 9)`.
bool SameTables(const char* a, const char* b) {
  for (;; ++a, ++b) {
    if (*a == '(') a += strcspn(a, ")");
    if (*b == '(') b += strcspn(b, ")");
    if (*a != *b) return false;
    if (*a == '\0') return true;
  }
}

char* TableName(Oid relation) {
  return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
                                    get_rel_name(relation));
}

// Restricts `spec` to the columns named by `former`, if it has all of them.
void KeepColumns(QuerySpec* spec, const QuerySpec& former) {
  List* kept = NIL;
  ListCell* cell;
  foreach (cell, former.result_columns) {
    const char* name = lfirst_node(TargetEntry, cell)->resname;
    TargetEntry* found = nullptr;
    ListCell* candidate;
    foreach (candidate, spec->result_columns)
      if (strcmp(lfirst_node(TargetEntry, candidate)->resname, name) == 0)
        found = lfirst_node(TargetEntry, candidate);
    if (found == nullptr) return;
    found = static_cast<TargetEntry*>(copyObjectImpl(found));
    found->resno = lfirst_node(TargetEntry, cell)->resno;
    kept = lappend(kept, found);
  }
  if (list_length(kept) == list_length(spec->result_columns)) return;
  spec->result_columns = kept;
  if (IsOpaque(*spec)) spec->opaque_key = NameForSecret(*spec);
  if (SameTables(spec->access, former.access)) spec->access = former.access;
  spec->columns = NIL;
  spec->column_names = NIL;
  spec->column_count = 0;
  Bitmapset* used = UsedColumns(
      list_make4(spec->barrier_quals, spec->quals, spec->result_columns, spec->routing_conditions));
  foreach (cell, spec->key) used = bms_add_member(used, lfirst_int(cell));
  DescribeColumns(spec, used);
}

// Adds what `expressions` depend on to `spec`; raises 0A000 for the domains in them,
// and for what would make JSON.
void NoteDependencies(List* expressions, QuerySpec* spec) {
  NoteCalledFunctions(expressions, &spec->called);
  spec->types = list_concat_unique_oid(spec->types, TypesIn(expressions, true));
  List* checks = DomainChecksIn(expressions);
  RequireNoClock(checks);
  RequireSteadyChecks(checks);
  RequireSteadyJson(TypesMadeJson(expressions));
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

Analysis Analyze(const char* text, List* params, const FrozenValues& frozen) {
  Analysis result = {};
  result.frozen = frozen;
  Oid* types = nullptr;
  int param_count = 0;
  Query* query = ParseAndAnalyze(text, &types, &param_count);
  List* values = ParamValues(params, types, param_count);
  List* rewritten = QueryRewrite(query);
  if (list_length(rewritten) != 1) RaiseUnsupported("a rule rewrites it to several queries");
  query = linitial_node(Query, rewritten);
  StringInfoData access;
  initStringInfo(&access);
  CheckPermissions(reinterpret_cast<Node*>(query), &access);

  FlatQuery flat = Flatten(query);
  TableFacts facts = LookAtTable(*flat.table);
  result.temporary = facts.temporary;
  result.table = flat.table;
  result.owner = flat.owner;
  result.sort_clause = flat.sort_clause;
  result.table_names = list_make1(makeString(TableName(flat.table->relid)));
  RequireDistinctNames(ResultColumns(flat.target_list));

  // One list, so that each step stands here once.
  List* everything = list_make3(flat.barriers, flat.quals, flat.target_list);
  everything = BindParams(everything, values);
  RequireNoClock(everything);
  RequireNoVolatile(everything);
  QuerySpec& spec = result.spec;
  NoteDependencies(everything, &spec);
  everything = Simplify(everything, &spec.inlined);
  RequireNoClock(everything);  // what was inlined
  NoteDependencies(everything, &spec);
  // A value that is frozen, or computed here for good, asks for nobody's privileges later on.
  RequireExecute(everything);
  RequireExecuteInBodies(spec.called);
  everything = Freeze(everything, &result.frozen);
  spec.of_roles = result.frozen.of_roles;
  everything = Simplify(everything, &spec.inlined);
  RequireRowFunctions(everything);
  result.barriers = static_cast<List*>(linitial(everything));
  result.quals = SplitAnds(static_cast<List*>(lsecond(everything)));
  result.target_list = static_cast<List*>(lthird(everything));

  ListCell* cell;
  foreach (cell, result.barriers)
    spec.barrier_quals =
        list_concat(spec.barrier_quals, SplitAnds(static_cast<List*>(lfirst(cell))));
  RequireIdentity(facts, list_make2(spec.barrier_quals, result.quals));
  const RoutingConditions routing = SplitRouting(result.quals, spec.barrier_quals != NIL);
  const RoutingConditions barrier_routing =
      SplitRouting(list_length(routing.conditions) == 0 ? spec.barrier_quals : NIL, true);
  spec.relation = flat.table->relid;
  spec.relations = facts.relations;
  spec.parents = facts.parents;
  spec.key = facts.key;
  spec.bag = facts.key == NIL;
  spec.full_identity = facts.full_identity;
  spec.identity = BitmapToList(facts.identity);
  spec.result_columns = ResultColumns(result.target_list);
  if (barrier_routing.conditions != NIL) {
    // tenant = current_setting(...) in a policy has become an equality as well.
    spec.barrier_quals = barrier_routing.quals;
    spec.quals = result.quals;
    spec.routing_conditions = barrier_routing.conditions;
    result.route_values = barrier_routing.values;
  } else {
    spec.quals = routing.quals;
    spec.routing_conditions = routing.conditions;
    result.route_values = routing.values;
  }
  RequireDistinctTexts(spec.relation, spec.key);
  RequireUpdatesToBeKnown(facts, spec.relation, spec.result_columns);
  Bitmapset* used = UsedColumns(list_make3(spec.barrier_quals, result.quals, spec.result_columns));
  used = bms_add_members(used, UsedColumns(spec.routing_conditions));
  if (!AreAmong(spec.key, ShownColumns(spec.result_columns)))
    result.why_opaque = WhyKeyIsHidden(
        {spec.relation, AccessOf(flat.owner, flat.table).as_role, bms_copy(used)}, spec.key);
  spec.opaque_key = result.why_opaque == nullptr ? pstrdup("") : NameForSecret(spec);
  foreach (cell, spec.key) used = bms_add_member(used, lfirst_int(cell));
  DescribeColumns(&spec, used);
  NoteDependencies(lcons(KeyExpression(spec), list_copy(spec.columns)), &spec);
  spec.params_read_catalogs = ReadCatalogs(types, param_count);
  result.calls_procedures =
      CallProcedures(list_make4(spec.barrier_quals, spec.quals, spec.result_columns, spec.columns));
  spec.access = access.data;
  return result;
}

void DisregardAdditions(QuerySpec* spec, const QuerySpec& former) {
  KeepColumns(spec, former);
  // Of what has changed in the expressions, they tell themselves.
  if (IncludesFunctions(spec->called, former.called)) spec->called = former.called;
  if (list_difference_int(former.inlined, spec->inlined) == NIL) spec->inlined = former.inlined;
  if (list_difference_oid(former.types, spec->types) == NIL) spec->types = former.types;
  if (ShapesHold(former.shapes, spec->shapes)) spec->shapes = former.shapes;
}

}  // namespace live_queries
