// What the files that make a plan of the delta strategy share: the plan while it is being made, and
// what is known of a relation at each place of a query. Included by no other header. Process:
// client backend, evaluator.
#pragma once

#include "delta/decisions.hpp"
#include "delta/stale_sets.hpp"
#include "pg/postgres.hpp"

namespace live_queries {

struct ListBoundary;

struct Planner {
  List* sets;             // StaleSet*
  int params;             // of all queries
  const char* why_whole;  // nullptr; or why the rules do not apply, the first reason found
  const char* refused;    // nullptr; or what there is no answer to
  const char* cure;
  List* made;              // String: decisions (delta/decisions.hpp)
  bool decided;            // what SQL leaves open has been decided for what is being planned
  const Query* outermost;  // the level that gives the result
  List* grouped;           // Part*: of the rows that it groups
  ListBoundary* boundary;  // of the list that it gives; nullptr: none is kept
};

// What of a relation a stale set makes stale: the rows for which these expressions, beside its
// columns, have values of it. None: all of it, where the set is not empty.
struct Part {
  int set;
  List* expressions;
};

// A relation as it stands within a level: what it was made of, in expressions of that level.
struct PlannedRelation {
  List* key;    // of expressions; what names a row
  bool bag;     // nothing does
  List* parts;  // Part*
};

// A level that is done, for the one around it.
struct Level {
  Query* query;
  List* key;  // numbers of result columns
  bool bag;
  List* parts;  // Part*; their expressions are Integer: numbers of result columns
};

// What a level does to the rows that it reads, in this order.
enum class Step : uint8_t { kGroup, kWindow, kDistinct, kLimit };

// ----- delta_planner.cpp: sets, and queries made of a level -----

// Notes the first reason.
void GiveUp(Planner* planner, const char* why);
void Refuse(Planner* planner, const char* what, const char* cure);
// Keeps those that were made, and refuses for what is open.
void TakeDecisions(const Decisions& decisions, Planner* planner);

Part* MakePart(int set, List* expressions);
Restricted* MakeRestricted(int set, Query* query);

// A new set, of the values of `expressions`, of a table or of a probe.
StaleSet* AddSet(Planner* planner, List* expressions, Oid table);
const StaleSet& SetOf(const Planner& planner, const Part& part);

// Restricts `query` to the rows of `part`.
void RestrictTo(Query* query, const Planner& planner, const Part& part);

// Leaves out of `query` the rows of `part`, so that no row is in two of several queries.
void LeaveOutPart(Query* query, const Planner& planner, const Part& part);

// Adds to what is stale of `relation` what `probe` (Restricted*) finds, by `expressions`.
void AddPart(Planner* planner, List* expressions, List* probe, PlannedRelation* relation);

// A copy of `query` without `first` and the steps after it, selecting `expressions`.
Query* Selecting(const Query* query, Step first, List* expressions);

// Adds the numbers of what `node`, of a join tree, joins, and of its joins.
void NoteJoined(Node* node, Bitmapset** joined);

// Lets `query` read `sources`, nodes of its join tree, and nothing else.
void ReadAlone(Query* query, List* sources);

// A query for `expressions` of the rows of `query` that `join` matches, by those of its conditions
// that hold no sub-select: what one of these says may be stale itself.
Query* SelectingMatched(const Query* query, const JoinExpr* join, List* expressions);

// Makes `target`, in the list of `query` or not, the last of its result columns. Returns its
// number; those before it keep theirs.
AttrNumber SelectTarget(Query* query, TargetEntry* target);

// The conjuncts of `quals` that hold no sub-select; nullptr if there is none.
Node* PlainConjuncts(Node* quals);

// Puts what columns of joins stand for in their place, and sub-selects in the conditions of inner
// joins among those of the level.
void PrepareLevel(Query* query);

bool Groups(const Query& query);

// Whether a level gives one row, of whatever it reads, also of nothing.
bool GivesOneGroup(const Query& query);

List* Visible(List* target_list);

// ----- delta_from.cpp: what a level reads -----

PlannedRelation PlanFrom(Planner* planner, Query* query, Node* node);

// What tells the rows of a function from each other: their places, which `entry` is made to give.
// NIL: nothing, as the rows of one that gives several columns may be used whole.
List* PlaceInFunction(int index, RangeTblEntry* entry);

// ----- delta_lateral.cpp -----

// Whether an item of FROM is computed for each row of others.
bool RefersToOthers(const RangeTblEntry& entry);

// Joins the item `index`, which does, to `outer`, the rows of `sources`, nodes of the join tree.
void PlanLateral(Planner* planner, Query* query, int index, List* sources, PlannedRelation* outer);

// ----- delta_witnesses.cpp: sub-selects -----

// Adds to what is stale of `outer`, the rows of `sources`, those for which what feeds `body` is.
void PlanExists(Planner* planner, const Query* query, Query* body, List* sources,
                PlannedRelation* outer);

// Adds to what is stale of `relation`, which `query` reads, the rows for which a sub-select may be.
void PlanSubLinks(Planner* planner, const Query* query, PlannedRelation* relation);

// The same for sub-selects beside the aggregates of a level that gives one group, once it does.
void PlanGroupSubLinks(Planner* planner, const Query* query, PlannedRelation* relation);

// The same for a table whose row security asks other tables.
void PlanPolicies(Planner* planner, const Query* query, int index, PlannedRelation* table);

// The same for the condition of a join; `outer` are the rows that it keeps whatever the condition
// is, or its pairs.
void PlanJoinSubLinks(Planner* planner, const Query* query, const JoinExpr* join,
                      PlannedRelation* outer);

// ----- delta_union.cpp -----

// Whether `query`, a set operation, is of branches, not too many, whose rows can be named one by
// one. Otherwise its rows are told apart by what is shown of them.
bool HasBranches(const Query& query);
Level PlanUnionAll(Planner* planner, Query* query);

// ----- delta_values.cpp -----

// Of a query that is evaluated for one value of its routing columns after the other. Changes it.
Level PlanValueByValue(Planner* planner, Query* query);

// ----- delta_level.cpp -----

// Changes `query`.
Level PlanLevel(Planner* planner, Query* query);

// Decides what the level leaves open, unless that has been done before.
void DecideOpen(Planner* planner, Query* query, PlannedRelation* relation);

// Puts a set of what `expressions` are in the stale rows before the step `first` in the place of
// the parts of `relation`. Its probe selects `beside` behind them.
void Coarsen(Planner* planner, const Query* query, Step first, List* expressions,
             PlannedRelation* relation, List* beside = NIL);

// The same for the lists of `routes`, expressions, none: one list, of a level that has a boundary.
void CoarsenToLists(Planner* planner, const Query* query, List* routes, PlannedRelation* relation);

// `query` with all that the level around it has to know in its result columns.
Level Finish(Query* query, const PlannedRelation& relation);

// The expressions of a part of a level, of which those are numbers of result columns.
Part InExpressions(const Part& part, const Query& query);

}  // namespace live_queries
