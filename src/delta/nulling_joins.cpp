// Of the outer joins around a table, those that are not around the place of the column as well.
// Process: client backend, evaluator.
#include "delta/nulling_joins.hpp"

#include "analyze/tree.hpp"
#include "pg/compat.hpp"

extern "C" {
#include "parser/parsetree.h"
}

namespace live_queries {
namespace {

// A level around the place that is visited, and which of its joins are around that, too.
struct LevelAround {
  const Query* query;
  Bitmapset* joins;
  const LevelAround* outer;
};

bool Forget(Node* node, void* unused) {
  if (node == nullptr) return false;
  if (IsA(node, Var)) SetNullingJoins(castNode(Var, node), nullptr);
  return WalkChildren(node, Forget, unused);
}

// Adds to `*nulling` the joins below `node` that can make the columns of entry `index` NULL.
// Returns whether that is below `node`.
bool FindNulling(Node* node, int index, Bitmapset** nulling) {
  if (IsA(node, RangeTblRef)) return castNode(RangeTblRef, node)->rtindex == index;
  if (IsA(node, FromExpr)) {
    ListCell* cell;
    foreach (cell, castNode(FromExpr, node)->fromlist)
      if (FindNulling(static_cast<Node*>(lfirst(cell)), index, nulling)) return true;
    return false;
  }
  const auto* join = castNode(JoinExpr, node);
  if (join->rtindex == index) return true;  // a column of the join, as USING has
  const bool left = FindNulling(join->larg, index, nulling);
  if (!left && !FindNulling(join->rarg, index, nulling)) return false;
  const JoinType by_other = left ? JOIN_RIGHT : JOIN_LEFT;
  if (join->jointype == by_other || join->jointype == JOIN_FULL)
    *nulling = bms_add_member(*nulling, join->rtindex);
  return true;
}

void NoteLevel(Query* query, const LevelAround* outer);

void NoteVar(Var* var, const LevelAround* around) {
  const LevelAround* level = around;
  for (Index up = var->varlevelsup; up > 0 && level != nullptr; --up) level = level->outer;
  if (level == nullptr) return;
  Bitmapset* nulling = nullptr;
  (void)FindNulling(AsNode(level->query->jointree), static_cast<int>(var->varno), &nulling);
  SetNullingJoins(var, bms_del_members(nulling, level->joins));
}

bool Visit(Node* node, LevelAround* around) {
  if (node == nullptr) return false;
  if (IsA(node, Var)) {
    NoteVar(castNode(Var, node), around);
    return false;
  }
  if (IsA(node, Query)) {
    NoteLevel(castNode(Query, node), around);
    return false;
  }
  return WalkChildren(node, Visit, around);
}

// What an entry of the range table computes.
void NoteEntry(RangeTblEntry* entry, LevelAround* around) {
  (void)Visit(AsNode(entry->securityQuals), around);
  (void)Visit(AsNode(entry->subquery), around);
  (void)Visit(AsNode(entry->functions), around);
  (void)Visit(AsNode(entry->values_lists), around);
  (void)Visit(AsNode(entry->tablefunc), around);
}

void NoteJoinTree(Node* node, LevelAround* around) {
  if (IsA(node, RangeTblRef)) {
    NoteEntry(rt_fetch(castNode(RangeTblRef, node)->rtindex, around->query->rtable), around);
    return;
  }
  if (IsA(node, FromExpr)) {
    ListCell* cell;
    foreach (cell, castNode(FromExpr, node)->fromlist)
      NoteJoinTree(static_cast<Node*>(lfirst(cell)), around);
    (void)Visit(castNode(FromExpr, node)->quals, around);
    return;
  }
  auto* join = castNode(JoinExpr, node);
  // What its own columns stand for is above it.
  if (join->rtindex != 0)
    (void)Visit(AsNode(rt_fetch(join->rtindex, around->query->rtable)->joinaliasvars), around);
  LevelAround below = *around;
  below.joins = bms_add_member(bms_copy(around->joins), join->rtindex);
  NoteJoinTree(join->larg, &below);
  NoteJoinTree(join->rarg, &below);
  (void)Visit(join->quals, &below);
}

void NoteLevel(Query* query, const LevelAround* outer) {
  LevelAround around = {query, nullptr, outer};
  ListCell* cell;
  if (query->setOperations != nullptr)  // the join tree does not name what it combines
    foreach (cell, CombinedBy(*query)) NoteEntry(lfirst_node(RangeTblEntry, cell), &around);
  else
    NoteJoinTree(AsNode(query->jointree), &around);
  (void)Visit(AsNode(query->targetList), &around);
  (void)Visit(query->havingQual, &around);
  (void)Visit(query->limitCount, &around);
  (void)Visit(query->limitOffset, &around);
  foreach (cell, query->windowClause) {
    (void)Visit(lfirst_node(WindowClause, cell)->startOffset, &around);
    (void)Visit(lfirst_node(WindowClause, cell)->endOffset, &around);
  }
}

}  // namespace

void ForgetNullingJoins(Query* query) { (void)Forget(AsNode(query), nullptr); }

void NoteNullingJoins(Query* query) {
  if (HasNullingJoins()) NoteLevel(query, nullptr);
}

}  // namespace live_queries
