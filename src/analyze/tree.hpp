// Walking and rewriting trees with typed callbacks: of expressions, and of queries with all that
// stands in them, sub-selects and CTEs too. The server declares the callbacks of 15 without
// parameter types, which C++ reads as "none". Process: any.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/nodeFuncs.h"
}

namespace live_queries {

// Of a list, a query, ... as a tree.
template <class Tree>
Node* AsNode(Tree* tree) {
  return reinterpret_cast<Node*>(tree);
}

template <class T>
T* CopyOf(const T* tree) {
  return static_cast<T*>(copyObjectImpl(tree));
}

// RangeTblEntry*: the queries that the set operation of a level combines. Before 16, the entries of
// a view that has become one stand beside them.
List* CombinedBy(const Query& level);

// A parameter of what is run.
Expr* MakeParam(int number, Oid type);

// nodeToString without parse locations, so that equal trees give equal texts.
char* TreeToText(const void* tree);

// Visits the children of `node`; stops and returns true as soon as a visit does.
template <class Context>
bool WalkChildren(Node* node, bool (*visit)(Node*, Context*), Context* context) {
  auto* walker = reinterpret_cast<bool (*)()>(visit);
  if (IsA(node, Query)) return query_tree_walker(castNode(Query, node), walker, context, 0);
  return expression_tree_walker(node, walker, context);
}

// The same for what the parser makes of a text.
template <class Context>
bool WalkRawChildren(Node* node, bool (*visit)(Node*, Context*), Context* context) {
  return raw_expression_tree_walker(node, reinterpret_cast<bool (*)()>(visit), context);
}

// A copy of `node` with each child replaced by what `visit` returns for it.
template <class Context>
Node* RewriteChildren(Node* node, Node* (*visit)(Node*, Context*), Context* context) {
  auto* mutator = reinterpret_cast<Node* (*)()>(visit);
  if (IsA(node, Query))
    return AsNode(query_tree_mutator(castNode(Query, node), mutator, context, 0));
  return expression_tree_mutator(node, mutator, context);
}

// Whether `node` holds expressions, and is none itself.
inline bool IsStructure(const Node* node) {
  switch (nodeTag(node)) {
    case T_Query:
    case T_List:
    case T_TargetEntry:
    case T_FromExpr:
    case T_JoinExpr:
    case T_RangeTblRef:
    case T_RangeTblFunction:
    case T_TableFunc:
    case T_TableSampleClause:
    case T_CommonTableExpr:
    case T_CTESearchClause:
    case T_CTECycleClause:
    case T_SetOperationStmt:
    case T_SortGroupClause:
    case T_WindowClause:
      return true;
    default:
      return false;
  }
}

// `node` without the casts that change nothing but the type.
inline Node* WithoutRelabel(Node* node) {
  while (node != nullptr && IsA(node, RelabelType)) node = AsNode(castNode(RelabelType, node)->arg);
  return node;
}

}  // namespace live_queries
