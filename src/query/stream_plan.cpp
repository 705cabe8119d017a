// Takes an analysed query apart into one table, conditions, routing and result columns, or says why
// that cannot be. Process: client backend, decoder.
#include "query/stream_plan.hpp"

#include "analyze/clock.hpp"
#include "analyze/functions.hpp"
#include "analyze/pull_up.hpp"
#include "analyze/range_bounds.hpp"
#include "analyze/routing_conditions.hpp"
#include "analyze/table_facts.hpp"
#include "analyze/tree.hpp"
#include "analyze/type_shapes.hpp"
#include "pg/compat.hpp"
#include "query/key.hpp"
#include "query/own_rights.hpp"
#include "query/result_columns.hpp"

extern "C" {
#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/prep.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

namespace live_queries {
namespace {

// Why `query` is not about the rows of one table; nullptr if it is.
const char* WhyNotOneTable(const Query& query) {
  if (const char* reason = WhyNotPlain(query)) return reason;
  const RangeTblEntry* source = SourceOf(query);
  switch (source->rtekind) {
    case RTE_RELATION:
      break;
    case RTE_SUBQUERY:  // which is what could not be pulled up
      return WhyNotOneTable(*source->subquery);
    case RTE_FUNCTION:
    case RTE_TABLEFUNC:
      return "it reads from a function";
    case RTE_VALUES:
      return "it reads from VALUES";
    default:
      return "it reads something that is not a table";
  }
  if (source->tablesample != nullptr) return "it contains TABLESAMPLE";
  if (query.hasSubLinks) return "it contains a sub-select, or a policy on its table does";
  return nullptr;
}

// `query`, of one table, with that as its only source, number 1.
Query* OfTableAlone(const Query& query) {
  Query* alone = static_cast<Query*>(copyObjectImpl(&query));
  RangeTblEntry* table = SourceOf(*alone);
  const int index = castNode(RangeTblRef, linitial(alone->jointree->fromlist))->rtindex;
  ChangeVarNodes(AsNode(alone), index, 1, 0);
  alone->rtable = list_make1(table);
  TakeOverAccess(alone, table, alone);
  return alone;
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

WhyNot NeedsOldRows(const TableFacts& facts, const char* problem) {
  return {ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
          psprintf("old rows of table %s are not logged, so the query cannot be watched",
                   facts.weak_name),
          problem, psprintf("ALTER TABLE %s REPLICA IDENTITY FULL;", facts.weak_name)};
}

// Why the rows' former values, as far as they are logged, do not tell what has left the result.
std::optional<WhyNot> WhyNotIdentity(const TableFacts& facts, List* conditions) {
  if (facts.full_identity) return std::nullopt;
  const char* problem = nullptr;
  if (facts.key == NIL)
    problem = "The table has no key in its replica identity.";
  else if (!bms_is_subset(UsedColumns(conditions), facts.identity))
    problem =
        "The condition, row security included, uses columns that are not in the replica "
        "identity.";
  return problem == nullptr ? std::nullopt : std::optional(NeedsOldRows(facts, problem));
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

bool ShowsIdentityAlone(const TableFacts& facts, List* result_columns) {
  return facts.full_identity || bms_is_subset(UsedColumns(result_columns), facts.identity);
}

// Without old rows, any update of a row is told as an update. That must not tell of a column which
// the role may neither see in the result nor read in the table. A change of the key is known.
std::optional<WhyNot> WhyNotUpdates(const TableFacts& facts, Oid relation, List* result_columns) {
  if (ShowsIdentityAlone(facts, result_columns)) return std::nullopt;
  Bitmapset* known = ShownColumns(result_columns);
  ListCell* cell;
  foreach (cell, facts.key) known = bms_add_member(known, lfirst_int(cell));
  if (bms_is_member(0, known) || MayReadAllBut(relation, known)) return std::nullopt;
  return NeedsOldRows(facts,
                      "The role may not read all columns of the table itself, and an update of one "
                      "that it may not read could not be told from others.");
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
  spec->dependencies.shapes =
      TypeShapes(AsNode(list_make5(spec->barrier_quals, spec->quals, spec->result_columns,
                                   spec->columns, KeyExpression(*spec))));
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

// Splits what the worker finds subscriptions by off the conditions of `plan`. Those of policies
// too: tenant = current_setting(...) has become a comparison with a constant as well.
void PlanRouting(List* quals, Plan* plan) {
  QuerySpec& spec = plan->spec;
  const bool behind_barrier = spec.barrier_quals != NIL;
  spec.barrier_quals = RangesAsBounds(spec.barrier_quals);
  RoutingConditions routing = {NIL, NIL, RangesAsBounds(quals)};
  for (const RoutingKind kind : kRoutingKinds) {
    // The secret of a key is that of the template: two routes with a row in common would tell by
    // its key that it is the same.
    if (plan->why_opaque != nullptr && kind != RoutingKind::kEquality) continue;
    routing.quals = TakeRouting(kind, routing.quals, behind_barrier, &routing);
    spec.barrier_quals = TakeRouting(kind, spec.barrier_quals, true, &routing);
  }
  spec.quals = routing.quals;
  spec.routing_conditions = routing.conditions;
  plan->routing = routing.values;
}

// `used`: the columns of all conditions and expressions. Before routing, which asks for it.
void PlanKeyIsHidden(const Bitmapset* used, Plan* plan) {
  const QuerySpec& spec = plan->spec;
  if (AreAmong(spec.key, ShownColumns(spec.result_columns))) return;
  const Oid as_role = AccessOf(plan->query, SourceOf(*plan->query)).as_role;
  plan->why_opaque = WhyKeyIsHidden({spec.relation, as_role, bms_copy(used)}, spec.key);
}

// Plans key and columns: all that the expressions (`used`) and the key use.
void PlanColumns(Bitmapset* used, Plan* plan) {
  QuerySpec& spec = plan->spec;
  spec.opaque_key = plan->why_opaque == nullptr ? pstrdup("") : NameForSecret(spec);
  ListCell* cell;
  foreach (cell, spec.key) used = bms_add_member(used, lfirst_int(cell));
  DescribeColumns(&spec, used);
}

void PlanTable(const TableFacts& facts, Oid relation, QuerySpec* spec) {
  spec->relation = relation;
  spec->relations = facts.relations;
  spec->parents = facts.parents;
  spec->key = facts.key;
  spec->bag = facts.key == NIL;
  spec->full_identity = facts.full_identity;
  spec->identity = BitmapToList(facts.identity);
  List** all = &spec->dependencies.relations;
  *all = list_concat_unique_oid(list_concat_unique_oid(*all, facts.relations), facts.parents);
}

}  // namespace

std::optional<WhyNot> PlanStream(const AnalyzedQuery& analyzed, Plan* plan) {
  if (const char* reason = WhyNotOneTable(*analyzed.query)) return Unsupported(reason);
  // Rows leave it without a change.
  if (AsksClock(analyzed.query)) return Unsupported("it asks the clock");
  Query* query = OfTableAlone(*analyzed.query);
  const RangeTblEntry& table = *SourceOf(*query);
  const TableFacts facts = LookAtTable(table);
  List* result_columns = ResultColumns(query->targetList);
  RequireDistinctNames(result_columns);
  RequireRowFunctions(AsNode(query));

  plan->strategy = Strategy::kStream;
  plan->why = "one table, conditions and expressions on its rows alone";
  plan->frozen = analyzed.frozen;
  plan->query = query;
  plan->sort_clause = query->sortClause;
  plan->temporary = facts.temporary;
  plan->table_names = list_make1(makeString(QualifiedName(table.relid)));
  QuerySpec& spec = plan->spec;
  spec.dependencies = analyzed.dependencies;
  PlanTable(facts, table.relid, &spec);
  spec.result_columns = result_columns;
  spec.barrier_quals = SplitAnds(table.securityQuals);
  List* quals = query->jointree->quals == nullptr ? NIL : list_make1(query->jointree->quals);
  quals = SplitAnds(quals);
  if (auto why_not = WhyNotIdentity(facts, list_make2(spec.barrier_quals, quals))) return why_not;
  Bitmapset* used = UsedColumns(list_make3(spec.barrier_quals, quals, spec.result_columns));
  PlanKeyIsHidden(used, plan);
  PlanRouting(quals, plan);
  RequireDistinctTexts(spec.relation, spec.key);
  if (auto why_not = WhyNotUpdates(facts, spec.relation, result_columns)) return why_not;
  if (!ShowsIdentityAlone(facts, result_columns))
    plan->untold = psprintf(
        "old rows of table %s are not logged, so it could not be told what an update changes",
        facts.weak_name);
  PlanColumns(used, plan);
  QueryDependencies& dependencies = spec.dependencies;
  NoteDependencies(AsNode(list_make3(KeyExpression(spec), spec.columns, spec.routing_conditions)),
                   &dependencies);
  plan->reads_settings =
      CallsProcedures(AsNode(list_make5(spec.barrier_quals, spec.quals, spec.result_columns,
                                        spec.columns, spec.routing_conditions)),
                      dependencies.called);
  return std::nullopt;
}

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
  const char* access = former.dependencies.access;
  if (SameTables(spec->dependencies.access, access)) spec->dependencies.access = pstrdup(access);
  spec->columns = NIL;
  spec->column_names = NIL;
  spec->column_count = 0;
  Bitmapset* used = UsedColumns(
      list_make4(spec->barrier_quals, spec->quals, spec->result_columns, spec->routing_conditions));
  foreach (cell, spec->key) used = bms_add_member(used, lfirst_int(cell));
  DescribeColumns(spec, used);
}

}  // namespace live_queries
