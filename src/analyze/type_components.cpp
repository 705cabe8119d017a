// Walks from a type to those that it is made of: elements, attributes, ranges' and domains' base
// types. Process: client backend, decoder.
#include "analyze/type_components.hpp"

#include "analyze/tree.hpp"

extern "C" {
#include "access/transam.h"
#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

namespace live_queries {
namespace {

struct Search {
  bool (*test)(Oid type);
  List* seen;  // oids: a type can contain arrays of itself
};

bool Visit(Search* search, Oid type);

bool VisitAttributes(Search* search, Oid type) {
  TupleDesc descriptor = lookup_rowtype_tupdesc_copy(type, -1);
  for (int i = 0; i < descriptor->natts; ++i) {
    const FormData_pg_attribute* attribute = TupleDescAttr(descriptor, i);
    if (!attribute->attisdropped && Visit(search, attribute->atttypid)) return true;
  }
  return false;
}

bool Visit(Search* search, Oid type) {
  if (!OidIsValid(type) || list_member_oid(search->seen, type)) return false;
  search->seen = lappend_oid(search->seen, type);
  if (search->test(type)) return true;
  const Oid base = getBaseType(type);
  if (base != type) return Visit(search, base);
  const Oid element = get_base_element_type(type);
  if (OidIsValid(element)) return Visit(search, element);
  switch (get_typtype(type)) {
    case TYPTYPE_COMPOSITE:
      return VisitAttributes(search, type);
    case TYPTYPE_RANGE:
      return Visit(search, get_range_subtype(type));
    case TYPTYPE_MULTIRANGE:
      return Visit(search, get_multirange_range(type));
    default:
      return false;
  }
}

bool IsNothing(Oid) { return false; }

List* UserTypes(const Search& search) {
  List* types = NIL;
  ListCell* cell;
  foreach (cell, search.seen)
    if (lfirst_oid(cell) >= FirstNormalObjectId) types = lappend_oid(types, lfirst_oid(cell));
  return types;
}

struct TypeSearch {
  Search components;
  bool columns_too;
};

// Looks where values come into an expression, or become others; what else there is passes them on.
bool VisitNode(Node* node, TypeSearch* search) {
  if (node == nullptr) return false;
  const bool brings_value =
      IsA(node, Const) || IsA(node, FuncExpr) || IsA(node, OpExpr) || IsA(node, RowExpr) ||
      IsA(node, ConvertRowtypeExpr) || IsA(node, RelabelType) || IsA(node, CoerceViaIO) ||
      IsA(node, CoerceToDomain) || IsA(node, ArrayCoerceExpr) || IsA(node, Aggref) ||
      IsA(node, WindowFunc) || (IsA(node, Var) && search->columns_too);
  if (brings_value && Visit(&search->components, exprType(node))) return true;
  return WalkChildren(node, VisitNode, search);
}

}  // namespace

bool AnyComponent(Oid type, bool (*test)(Oid type)) {
  Search search = {test, NIL};
  return Visit(&search, type);
}

List* UserTypesOf(Oid type) {
  Search search = {IsNothing, NIL};
  (void)Visit(&search, type);
  return UserTypes(search);
}

bool AnyTypeIn(Node* tree, bool (*test)(Oid type)) {
  TypeSearch search = {{test, NIL}, true};
  return VisitNode(tree, &search);
}

List* TypesIn(Node* tree, bool columns_too) {
  TypeSearch search = {{IsNothing, NIL}, columns_too};
  (void)VisitNode(tree, &search);
  return UserTypes(search.components);
}

}  // namespace live_queries
