// Walking and rewriting expression trees with typed callbacks. The server declares the callbacks of
// 15 without parameter types, which C++ reads as "none". Process: any.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "nodes/nodeFuncs.h"
}

namespace live_queries {

// Visits the children of `node`; stops and returns true as soon as a visit does.
template <class Context>
bool WalkChildren(Node* node, bool (*visit)(Node*, Context*), Context* context) {
  return expression_tree_walker(node, reinterpret_cast<bool (*)()>(visit), context);
}

// A copy of `node` with each child replaced by what `visit` returns for it.
template <class Context>
Node* RewriteChildren(Node* node, Node* (*visit)(Node*, Context*), Context* context) {
  return expression_tree_mutator(node, reinterpret_cast<Node* (*)()>(visit), context);
}

}  // namespace live_queries
